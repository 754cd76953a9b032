import { readdirSync, readFileSync } from 'node:fs'
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard'
import * as text from '@grafana/grafana-foundation-sdk/text'

/** The runbooks as a dashboard of their own: a panel's link works wherever Grafana does, independent of where this repository is hosted. */
export interface Runbooks {
  readonly board: dashboard.Dashboard
  /** @throws RangeError when there is none of that name */
  linkTo(alert: string): string
}

const DIRECTORY = new URL('../docs/runbooks/', import.meta.url)
const UID = 'holdfast-runbooks'
const HEIGHT = 22

/** Made of `docs/runbooks/*.md`, one panel for each, in the order of the alphabet. */
export function readRunbooks(): Runbooks {
  const names = readdirSync(DIRECTORY)
    .filter(file => /^Holdfast\w+\.md$/.test(file))
    .map(file => file.slice(0, -'.md'.length))
    .sort()

  function linkTo(alert: string): string {
    const index = names.indexOf(alert)
    if (index === -1) throw new RangeError(`there is no docs/runbooks/${alert}.md`)
    return `/d/${UID}/runbooks?viewPanel=panel-${index + 1}`
  }

  /** Without the heading, which is the panel's title; links lead to panels here, and to nowhere where Grafana has no page. */
  function contentOf(name: string): string {
    return readFileSync(new URL(`${name}.md`, DIRECTORY), 'utf8')
      .replace(/^# .*\n+/, '')
      .replace(
        /\[([^\]]+)\]\((Holdfast\w+)\.md\)/g,
        (_, words: string, alert: string) => `[${words}](${linkTo(alert)})`,
      )
      .replace(/\[([^\]]+)\]\((?!https?:|\/d\/)[^)]*\)/g, '$1')
  }

  const builder = new dashboard.DashboardBuilder('Holdfast: runbooks')
    .uid(UID)
    .description('What each alert means, what to look at, what to do. Made of docs/runbooks.')
    .tags(['holdfast'])
    .readonly()
  names.forEach((name, index) => {
    const panel = new text.PanelBuilder()
      .id(index + 1)
      .title(name)
      .mode(text.TextMode.Markdown)
      .content(contentOf(name))
      .gridPos({ x: (index % 2) * 12, y: Math.floor(index / 2) * HEIGHT, w: 12, h: HEIGHT })
    builder.withPanel(panel)
  })
  return { board: builder.build(), linkTo }
}
