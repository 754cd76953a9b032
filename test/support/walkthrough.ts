import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Document } from './documents.ts'

/**
 * What a reader of a document does, in its order. A comment of Markdown before a fenced block says what it is about, where the block
 * alone does not: `<!-- file: PATH -->` the content of a file, `<!-- runs on -->` a command in a shell of its own, `<!-- not run -->`
 * nothing that a reader does here.
 */
export type Step =
  | { readonly kind: 'file'; readonly path: string; readonly text: string }
  | { readonly kind: 'command'; readonly script: string; readonly shown: string | undefined; readonly runsOn: boolean }

/** @param section its heading: only what stands below it, up to the next heading of its level. Default: all of the document */
export function stepsOf({ tokens }: Document, section?: string): Step[] {
  const steps: Step[] = []
  let inside = section === undefined
  let depth = 0
  let mark = ''
  for (const token of tokens) {
    if (token.type === 'heading') {
      if (token.text === section) depth = token.depth
      inside = section === undefined || (depth > 0 && (token.text === section || (inside && token.depth > depth)))
    }
    if (token.type === 'html') mark = /<!-- (.*?) -->/.exec(token.text)?.[1] ?? ''
    if (token.type !== 'code') continue
    if (inside && mark !== 'not run') steps.push(...stepsOfBlock(token.lang ?? '', token.text, mark))
    mark = ''
  }
  return steps
}

function stepsOfBlock(language: string, text: string, mark: string): Step[] {
  const [, path] = /^file: (\S+)$/.exec(mark) ?? []
  if (path !== undefined) return [{ kind: 'file', path, text: `${text}\n` }]
  if (language === 'sh') return [{ kind: 'command', script: text, shown: undefined, runsOn: mark === 'runs on' }]
  if (language !== 'console') return []
  return text.split(/^\$ /m).flatMap(part => {
    if (part === '') return []
    const [, script = '', shown = ''] = /^((?:.*\\\n)*.*)\n?([\s\S]*)$/.exec(part) ?? []
    return [{ kind: 'command', script, shown, runsOn: false } as const]
  })
}

export interface Reader {
  /** @throws with what was printed, when a command fails or prints something else than the document shows */
  follow(step: Step): Promise<void>
  /** Ctrl-C in the shells of what runs on. Resolves once all of it has ended. */
  interrupt(): Promise<void>
}

export interface ReaderOptions {
  /** Where the reader begins; commands may go elsewhere. */
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  /** What the reader has instead of what the document says: another port, an installed package. */
  readonly instead?: (script: string) => string
}

/** Follows a document as a reader does: in one folder after another, with what earlier blocks have exported. */
export function createReader({ folder, env, instead = script => script }: ReaderOptions): Reader {
  const state = join(folder, '.walkthrough')
  let cwd = folder
  const running: ChildProcess[] = []
  writeFileSync(state, '')

  function shell(script: string): ChildProcess {
    // One pipe, as a terminal is one: what is written to two may be read in another order.
    const text = `exec 2>&1\nset -e\n. '${state}'\n${instead(script)}\nexport -p > '${state}'\npwd > '${state}.cwd'`
    return spawn('bash', ['-c', text], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
  }

  return {
    async follow(step) {
      if (step.kind === 'file') {
        mkdirSync(dirname(join(cwd, step.path)), { recursive: true })
        writeFileSync(join(cwd, step.path), step.text)
        return
      }
      if (step.runsOn) {
        // A group of its own, so that all of it can be interrupted, as a terminal does.
        const child = spawn('bash', ['-c', `. '${state}'\n${instead(step.script)}`], {
          cwd,
          env,
          detached: true,
          stdio: ['ignore', 'inherit', 'inherit'],
        })
        running.push(child)
        return
      }
      const child = shell(step.script)
      let said = ''
      child.stdout?.on('data', (chunk: Buffer) => {
        said += chunk
      })
      const [code] = (await once(child, 'close')) as [number | null]
      if (code !== 0) throw new Error(`$ ${step.script}\n${said}\nexit code ${code}`)
      cwd = readFileSync(`${state}.cwd`, 'utf8').trim()
      if (step.shown !== undefined && !shows(instead(step.shown), said))
        throw new Error(`$ ${step.script}\nprinted\n${said}\nthe document shows\n${step.shown}`)
    },

    async interrupt() {
      for (const child of running.splice(0)) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        const exited = once(child, 'exit')
        process.kill(-(child.pid ?? 0), 'SIGINT')
        await exited
      }
    },
  }
}

/** Whether this is what a document shows, in which `…` stands for anything within a line, and a line of `…` for any lines. Widths of columns do not count. */
export function shows(shown: string, said: string): boolean {
  const narrow = (text: string) => text.trim().replace(/ +/g, ' ').replace(/ $/gm, '')
  const pattern = narrow(shown)
    .split('\n')
    .map(line => (line.trim() === '…' ? '(?:.*\n)*?' : `${line.split('…').map(RegExp.escape).join('.*')}\n`))
    .join('')
  return new RegExp(`^${pattern}$`).test(`${narrow(said)}\n`)
}
