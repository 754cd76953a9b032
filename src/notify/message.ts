import type { DueNotice } from './notice.ts'

const NOTIFY_FORMATS = ['json', 'slack', 'teams'] as const
export type NotifyFormat = (typeof NOTIFY_FORMATS)[number]

/** The body of the request. @param link to the console; `undefined`: its address is not known */
export function messageOf(format: NotifyFormat, notice: DueNotice, link: string | undefined): object {
  return FORMATS[format](notice, link)
}

type Format = (notice: DueNotice, link: string | undefined) => object

const FORMATS: Readonly<Record<NotifyFormat, Format>> = {
  json: ({ id, kind, stream, subject, title, since, facts }, link) => ({
    ...{ id, kind, stream, subject, title, since, facts },
    link: link ?? null,
  }),

  /** An incoming webhook of Slack. What comes from outside is plain text: nothing in it is read as markup. */
  slack({ title, since, facts }, link) {
    const lines = Object.entries(facts).map(([name, value]) => `${words(name)}: ${value}`)
    const where = link === undefined ? '' : ` · <${slackEscaped(link)}|Open the console>`
    return {
      text: slackEscaped(title),
      blocks: [
        { type: 'header', text: plain(title.slice(0, SLACK_HEADER)) },
        ...(lines.length === 0 ? [] : [{ type: 'section', text: plain(lines.join('\n')) }]),
        { type: 'context', elements: [{ type: 'mrkdwn', text: `since ${since}${where}` }] },
      ],
    }
  },

  /** A workflow of Microsoft Teams that posts what a webhook receives: an Adaptive Card. */
  teams({ title, since, facts }, link) {
    const shown = [...Object.entries(facts).map(([name, value]) => [words(name), String(value)]), ['since', since]]
    return {
      type: 'message',
      attachments: [
        {
          contentType: 'application/vnd.microsoft.card.adaptive',
          content: {
            $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
            type: 'AdaptiveCard',
            version: '1.4',
            body: [
              { type: 'TextBlock', text: teamsText(title), weight: 'Bolder', wrap: true },
              {
                type: 'FactSet',
                facts: shown.map(([name, value]) => ({ title: name, value: teamsText(value ?? '') })),
              },
            ],
            ...(link === undefined
              ? {}
              : { actions: [{ type: 'Action.OpenUrl', title: 'Open the console', url: link }] }),
          },
        },
      ],
    }
  },
}

const words = (name: string) => name.replaceAll('_', ' ')

/** Characters that a header may have. */
const SLACK_HEADER = 150
const plain = (text: string) => ({ type: 'plain_text', text, emoji: false })

/** What would be read as a mention or a link. */
function slackEscaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Text blocks take a subset of Markdown. */
function teamsText(text: string): string {
  return text.replace(/[\\*_[\]<>]/g, sign => `\\${sign}`)
}
