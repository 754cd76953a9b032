import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, CommanderError } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from '#src/cli/program.ts'
import { shieldTerms } from '#src/inbox/cli/commands-dlq.ts'
import { filterOf } from '#src/inbox/cli/dlq-filter.ts'
import { SETTINGS } from '#src/settings/settings.ts'
import { blocksOf, codeSpansOf, documents, ROOT } from '../support/documents.ts'
import { shellCommands } from '../support/shell-words.ts'

interface Found {
  readonly path: string
  readonly words: readonly string[]
}

const PAGES = documents()
/** Commands of fenced blocks: of `console` the lines that are typed. */
const TYPED: readonly Found[] = PAGES.flatMap(page =>
  blocksOf(page)
    .filter(({ language }) => ['sh', 'bash', 'console', ''].includes(language))
    .flatMap(({ language, text }) => shellCommands(language === 'console' ? typedIn(text) : text))
    .map(words => ({ path: page.path, words: withoutAssignments(words) })),
)
const HOLDFAST = new Set(['bin/holdfast', 'holdfast'])

/** The lines after a prompt, with those that continue them. */
function typedIn(text: string): string {
  return [...text.matchAll(/^\$ ((?:.*\\\n)*.*)$/gm)].map(([, line]) => line).join('\n')
}

function withoutAssignments(words: readonly string[]): readonly string[] {
  const first = words.findIndex(word => !/^[A-Za-z_]\w*=/.test(word))
  const rest = first === -1 ? [] : words.slice(first)
  return rest[0] === 'npx' || rest[0] === 'time' ? rest.slice(1) : rest
}

describe('commands in fenced blocks', () => {
  it('of Holdfast are such that the program takes them', () => {
    const commands = TYPED.filter(({ words: [name = ''] }) => HOLDFAST.has(name))
    expect(commands.length).toBeGreaterThan(100)
    expect(commands.flatMap(({ path, words }) => problem(path, words))).toEqual([])
  })

  it('of make name targets that there are', () => {
    const targets = [...readFileSync(join(ROOT, 'Makefile'), 'utf8').matchAll(/^([a-z][a-z-]*):/gm)].map(
      ([, name]) => name,
    )
    const named = TYPED.filter(({ words }) => words[0] === 'make').flatMap(({ path, words }) =>
      words.slice(1).flatMap(word => (word.includes('=') ? [] : [{ path, word }])),
    )
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter(({ word }) => !targets.includes(word))).toEqual([])
  })

  it('name scripts and tests that there are', () => {
    const named = TYPED.filter(({ words: [name = ''] }) => ['node', 'sh', 'vitest'].includes(name)).flatMap(
      ({ path, words }) =>
        words.slice(1).flatMap(word => (/^(?:bench|scripts|test|tools|grafana)\//.test(word) ? [{ path, word }] : [])),
    )
    expect(named.length).toBeGreaterThan(5)
    expect(named.filter(({ word }) => !existsSync(join(ROOT, word)))).toEqual([])
  })
})

describe('commands within a text', () => {
  it('name commands and options that there are', () => {
    const spans = PAGES.flatMap(page => codeSpansOf(page).map(text => ({ path: page.path, text })))
    const commands = spans
      .filter(({ text }) => /^(?:[A-Z_]+=\S+ )*(?:npx |bin\/)?holdfast [a-z]/.test(text))
      .map(({ path, text }) => ({ path, words: withoutAssignments(looseWords(text)) }))
    expect(commands.length).toBeGreaterThan(50)
    expect(commands.flatMap(({ path, words }) => unknown(path, words.slice(1)))).toEqual([])
  })
})

it('settings that documents name are there', () => {
  const names = new Set(Object.keys(SETTINGS).flatMap(name => [name, `${name}_FILE`]))
  // The first word tells a setting from what else is written so; HOLDFAST_ begins names of tests as well.
  const beginnings = new Set([...names].map(name => name.split('_')[0]).filter(word => word !== 'HOLDFAST'))
  const named = PAGES.flatMap(page =>
    codeSpansOf(page).flatMap(text =>
      [...text.matchAll(/(?<![\w$])[A-Z]+(?:_[A-Z]+)+(?=$|[=\s,)])/g)].map(([name]) => ({ path: page.path, name })),
    ),
  ).filter(({ name }) => beginnings.has(name.split('_')[0]))
  expect(named.length).toBeGreaterThan(150)
  // Variables of docker-compose.yml are others.
  const missing = named.filter(({ path, name }) => !names.has(name) && path !== 'docs/containers.md')
  expect(missing).toEqual([])
})

/** `up|down` is either, and `…` stands for what is left out. */
function looseWords(text: string): string[] {
  return text.split(/\s+/).filter(word => !word.includes('…'))
}

/** A command word that a stream brings; see src/cli/alias.ts. */
const ALIASES = new Set(['order'])

/** Which words of it are neither a command nor an option of that command. */
function unknown(path: string, words: readonly string[]): string[] {
  if (ALIASES.has(words[0] ?? '')) return []
  let commands: readonly Command[] = [createProgram()]
  for (const [i, word] of words.entries()) {
    if (word.startsWith('--')) {
      const [flag] = word.split('=')
      const known = commands.some(({ options }) => options.some(({ long }) => long === flag)) || flag === '--help'
      if (!known) return [`${path}: ${words.join(' ')}: no option ${word}`]
      continue
    }
    if (commands.every(({ commands: below }) => below.length === 0)) continue
    const below = word
      .split('|')
      .map(name =>
        commands.flatMap(({ commands }) => commands).find(one => one.name() === name || one.aliases().includes(name)),
      )
    if (below.includes(undefined)) {
      // `holdfast dlq` alone is a subject; after the first word anything but a name ends it.
      if (i > 0 && !/^[a-z|]+$/.test(word)) return []
      return [`${path}: ${words.join(' ')}: no command ${word}`]
    }
    commands = below.filter(one => one !== undefined)
  }
  return []
}

/** What the program would say to it, and to its filter, without running it. */
function problem(path: string, words: readonly string[]): string[] {
  if (ALIASES.has(words[1] ?? '')) return []
  const program = createProgram()
  const errors: string[] = []
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command.exitOverride().configureOutput({ writeErr: text => errors.push(text), writeOut: () => {} })
    if (command.commands.length > 0) continue
    const [first] = command.registeredArguments
    command.action((given: unknown) => {
      if (first?.name() === 'filter') filterOf(given as readonly string[])
    })
  }
  try {
    program.parse(shieldTerms(words.slice(1).map(filled)), { from: 'user' })
    return []
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return []
    return [`${path}: ${words.join(' ')}: ${errors.join('') || String(error)}`]
  }
}

/** A placeholder of the text, by what could stand there. */
function filled(word: string): string {
  return /^[NP]$/.test(word) ? '3' : word
}
