import { describe, expect, it } from 'vitest'
import { messageOf } from '#src/notify/message.ts'
import { consolePath, type DueNotice, factsOf, testNotice } from '#src/notify/notice.ts'

const NOTICE: DueNotice = {
  ...{ id: '42', kind: 'cause_regressed', stream: 'orders', subject: 'cause c0123456789ab', attempt: 1 },
  title: 'A cause of dead letters came back after all of it was resolved in the stream orders',
  facts: {
    cause: 'c0123456789ab',
    reason: 'schema_violation',
    error: 'required',
    pointer: '/a_b/<c>',
    version: '1.5.0',
  },
  path: consolePath('orders', { q: 'state:open reason:schema_violation' }),
  since: '2026-11-20T12:00:00.000Z',
}
const LINK = `https://holdfast.example.com${NOTICE.path}`

describe('a message', () => {
  it('as JSON says all there is, under stable names', () => {
    expect(messageOf('json', NOTICE, LINK)).toEqual({
      id: '42',
      kind: 'cause_regressed',
      stream: 'orders',
      subject: 'cause c0123456789ab',
      title: NOTICE.title,
      since: '2026-11-20T12:00:00.000Z',
      facts: NOTICE.facts,
      link: 'https://holdfast.example.com/admin?stream=orders&q=state%3Aopen+reason%3Aschema_violation',
    })
    expect(messageOf('json', NOTICE, undefined)).toMatchObject({ link: null })
  })

  it('for Slack is text and blocks, with nothing in it that Slack would read as markup', () => {
    expect(messageOf('slack', NOTICE, LINK)).toEqual({
      text: NOTICE.title,
      blocks: [
        { type: 'header', text: { type: 'plain_text', text: NOTICE.title, emoji: false } },
        {
          type: 'section',
          text: {
            type: 'plain_text',
            text: [
              'cause: c0123456789ab',
              'reason: schema_violation',
              'error: required',
              'pointer: /a_b/<c>',
              'version: 1.5.0',
            ].join('\n'),
            emoji: false,
          },
        },
        {
          type: 'context',
          elements: [
            {
              type: 'mrkdwn',
              text: 'since 2026-11-20T12:00:00.000Z · <https://holdfast.example.com/admin?stream=orders&amp;q=state%3Aopen+reason%3Aschema_violation|Open the console>',
            },
          ],
        },
      ],
    })
  })

  it('for Teams is an Adaptive Card with the facts and a button', () => {
    expect(messageOf('teams', NOTICE, LINK)).toEqual({
      type: 'message',
      attachments: [
        {
          contentType: 'application/vnd.microsoft.card.adaptive',
          content: {
            $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
            type: 'AdaptiveCard',
            version: '1.4',
            body: [
              { type: 'TextBlock', text: NOTICE.title, weight: 'Bolder', wrap: true },
              {
                type: 'FactSet',
                facts: [
                  { title: 'cause', value: 'c0123456789ab' },
                  { title: 'reason', value: 'schema\\_violation' },
                  { title: 'error', value: 'required' },
                  { title: 'pointer', value: '/a\\_b/\\<c\\>' },
                  { title: 'version', value: '1.5.0' },
                  { title: 'since', value: '2026-11-20T12:00:00.000Z' },
                ],
              },
            ],
            actions: [{ type: 'Action.OpenUrl', title: 'Open the console', url: LINK }],
          },
        },
      ],
    })
  })

  it('without a known address of the console has no link, and a test says that it is one', () => {
    const test = testNotice(0)
    for (const format of ['json', 'slack', 'teams'] as const) {
      const text = JSON.stringify(messageOf(format, test, undefined))
      expect(text).toContain('Test: messages of Holdfast arrive here')
      expect(text).not.toContain('undefined')
      expect(text).not.toMatch(/OpenUrl|\/admin/)
    }
  })
})

it('facts that are not known are left out, and long ones are cut', () => {
  expect(factsOf({ a: null, b: undefined, c: '', d: 0, e: 'x' })).toEqual({ d: 0, e: 'x' })
  expect(String(factsOf({ a: 'x'.repeat(1_000) }).a)).toHaveLength(300)
})
