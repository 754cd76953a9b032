import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { addCommands } from '#src/cli/commands.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { SETTINGS } from '#src/settings/settings.ts'

const ROOT = new URL('../../', import.meta.url)
const FOLDER = new URL('docs/runbooks/', ROOT)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const files = readdirSync(FOLDER).filter(name => name !== 'README.md')
const alerts = [...read('prometheus/rules/alerts.yml').matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name)

it('there is a runbook for each alert, and none besides', () => {
  expect(files.map(file => basename(file, '.md')).sort()).toEqual([...alerts].sort())
})

it('the list of runbooks has each alert with its severity', () => {
  const rules = read('prometheus/rules/alerts.yml').split('- alert: ').slice(1)
  const listed = [...read('docs/runbooks/README.md').matchAll(/^\| \[(\w+)\]\(\1\.md\) \| (\w+) \|/gm)]
  expect(listed.map(([, name, severity]) => `${name} ${severity}`)).toEqual(
    rules.map(rule => `${/^\w+/.exec(rule)?.[0]} ${/severity: (\w+)/.exec(rule)?.[1]}`),
  )
})

describe.each(files)('%s', file => {
  const text = readFileSync(new URL(file, FOLDER), 'utf8')

  it('says what it means, what to look at, what to do, and when to page', () => {
    const [first] = text.split('\n')
    expect(first).toBe(`# ${basename(file, '.md')}`)
    expect([...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual([
      'What it means',
      'What to look at',
      'What to do',
      'When to page',
    ])
    expect(text).toContain('```promql')
    expect(text).toMatch(/bin\/holdfast|curl/)
  })

  it('names only commands with flags that they know', async () => {
    const lines = [...text.matchAll(/`bin\/holdfast ([^`]+)`/g)].map(([, line = '']) => line)
    for (const line of lines) {
      await expect(parsed(wordsOf(line)), `holdfast ${line}`).resolves.toBeUndefined()
    }
    expect(lines, 'each in backticks, or it is not looked at').toHaveLength(
      text.match(/bin\/holdfast [a-z]/g)?.length ?? 0,
    )
  })

  it('names only settings, files and filters that there are', () => {
    for (const [, name = ''] of text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)) {
      expect(Object.keys(SETTINGS), name).toContain(name)
    }
    for (const [, link = ''] of text.matchAll(/\]\(([^)#]+)\)/g)) {
      expect(existsSync(new URL(link, FOLDER)), link).toBe(true)
    }
    for (const [, filter = ''] of text.matchAll(/bin\/holdfast dlq \w+ '([^']*)'/g)) {
      // P and UID stand for what the reader puts there.
      expect(parseFilter(filter.replace('partition:P', 'partition:0'))).toMatchObject({ ok: true })
    }
  })
})

/** As a shell takes it apart, with something of its kind in the place of what the reader puts there. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  )
  const instead: Record<string, string> = { P: '0', ID: 'orders-0-1', FILE: 'order.json', FILTER: 'state:open' }
  return words.map(word => instead[word] ?? word)
}

/** Takes a command line as `holdfast` does, and does nothing. Rejects on a command, flag or argument that it does not know. */
async function parsed(words: string[]): Promise<void> {
  const program = new Command()
  addCommands(program)
  const quiet = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr() {}, writeOut() {} })
    if (command.commands.length === 0) command.action(() => {})
    command.commands.forEach(quiet)
  }
  quiet(program)
  await program.parseAsync(words, { from: 'user' })
}
