import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { runGuarded, startGuarded, untilReady } from '#tools/demo/servers/guarded-process.ts'
import { processIdentity } from '#tools/demo/servers/machine.ts'
import { cleanLeftovers, noteRun } from '#tools/demo/servers/runs.ts'

let scratch: string
let notes: string
const owners: ChildProcess[] = []
/** The bound only ends a broken test. */
const PATIENT = { timeout: 20_000 }

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  notes = join(scratch, 'cache', 'holdfast', 'runs')
  vi.stubEnv('XDG_CACHE_HOME', join(scratch, 'cache'))
})

afterEach(async () => {
  for (const owner of owners.splice(0)) if (owner.kill('SIGKILL')) await once(owner, 'exit')
  await cleanLeftovers()
  vi.unstubAllEnvs()
  rmSync(scratch, { recursive: true, force: true })
})

describe('when the owner is killed', () => {
  it('the server ends too, and its temporary folder and note go', async () => {
    const { owner, server, folder } = await startOwner()
    owner.kill('SIGKILL')
    await untilGone(server)
    await vi.waitFor(() => expect(existsSync(folder)).toBe(false), PATIENT)
    await vi.waitFor(() => expect(readdirSync(notes)).toEqual([]), PATIENT)
  })

  it('and its watcher with it, the next start ends the server', async () => {
    const { owner, server, folder } = await startOwner()
    killChildren(owner, 'read -r _')
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    expect(processIdentity(server)).toBeDefined() // nobody was left to end it
    expect(await cleanLeftovers()).toBe(1)
    expect(processIdentity(server)).toBeUndefined()
    expect(existsSync(folder)).toBe(false)
    expect(readdirSync(notes)).toEqual([])
  })
})

it('Ctrl-C in a terminal reaches the owner alone, which can still use the server', async () => {
  const { owner, server, lines } = await startOwner()
  expect(processGroup(server)).toBe(server) // and not that of the owner, which the terminal interrupts
  process.kill(-Number(owner.pid), 'SIGINT') // as a terminal does it
  expect((await lines.next()).value).toBe('interrupted, the server is running')
  await untilGone(server)
})

it('a start leaves alone what somebody still owns', async () => {
  const { server } = await startOwner()
  expect(await cleanLeftovers()).toBe(0)
  expect(processIdentity(server)).toBeDefined()
})

it('never ends a process that was merely given the number of a former one', async () => {
  const bystander = spawn('sleep', ['60'])
  owners.push(bystander)
  const note = noteRun({ pid: Number(bystander.pid), command: 'sleep', stopSignal: 'SIGTERM', graceMs: 0 }, 2 ** 22 + 1)
  const content = JSON.parse(readFileSync(note, 'utf8'))
  writeFileSync(note, JSON.stringify({ ...content, identity: 'an earlier boot/1' }))
  expect(await cleanLeftovers()).toBe(1)
  expect(processIdentity(Number(bystander.pid))).toBeDefined()
})

it('does not judge the processes of another container', async () => {
  const note = noteRun({ pid: 1, command: 'init', stopSignal: 'SIGTERM', graceMs: 0 }, 2 ** 22 + 1)
  const content = JSON.parse(readFileSync(note, 'utf8'))
  writeFileSync(note, JSON.stringify({ ...content, namespace: 'elsewhere' }))
  expect(await cleanLeftovers()).toBe(0)
  expect(existsSync(note)).toBe(true)
  rmSync(note)
})

it('stops a server in order, twice without harm, and forgets it', async () => {
  const server = await startGuarded(shell(`trap "exit 3" TERM; ${forever}`))
  await untilItRuns()
  await Promise.all([server.stop(), server.stop()])
  expect(await server.exited).toBe(3)
  expect(server.running).toBe(false)
  expect(readdirSync(notes)).toEqual([])
})

it('kills a server that will not stop', async () => {
  const server = await startGuarded({ ...shell(`trap "" TERM; ${forever}`), graceMs: 100 })
  await untilItRuns()
  await server.stop()
  expect(await server.exited).toBe('SIGKILL')
})

it('tells how a server that cannot start has ended, and shows the end of its log', async () => {
  const options = shell('echo the port is taken; exit 7')
  const server = await startGuarded(options)
  const waiting = untilReady('The server', server, { logFile: options.logFile, timeoutMs: 60_000 }, refused)
  await expect(waiting).rejects.toThrow(/ended while starting \(7\)[\s\S]*the port is taken/)
})

it('gives up on a server that never answers', async () => {
  const options = shell(forever)
  const server = await startGuarded(options)
  const waiting = untilReady('The server', server, { logFile: options.logFile, timeoutMs: 100 }, refused)
  await expect(waiting).rejects.toThrow('The server did not answer within 0.1 s')
  await server.stop('SIGKILL')
})

it('a step that fails says so with the end of its log', async () => {
  await expect(runGuarded('Formatting', shell('exit 0'))).resolves.toBeUndefined()
  await expect(runGuarded('Formatting', shell('echo disk full; exit 1'))).rejects.toThrow(
    'Formatting failed (1):\ndisk full',
  )
})

/** A server's life, in short sleeps: no child of the shell outlives it. */
const forever = 'echo running; while :; do sleep 0.1; done'

function shell(script: string) {
  return {
    command: 'sh',
    args: ['-c', script],
    env: { PATH: process.env.PATH ?? '' },
    cwd: scratch,
    logFile: join(scratch, 'server.log'),
    stopSignal: 'SIGTERM',
    graceMs: 10_000,
  } as const
}

const refused = () => Promise.reject(new Error('connection refused'))

/** A process of its own that starts a server, says its pid, and stops it on SIGINT. */
async function startOwner() {
  const folder = join(scratch, 'data')
  mkdirSync(folder)
  const options = { ...shell(forever), temporaryDir: folder }
  const module = new URL('../../../../tools/demo/servers/guarded-process.ts', import.meta.url).href
  const script = `
    import { startGuarded } from ${JSON.stringify(module)}
    const server = await startGuarded(${JSON.stringify(options)})
    process.on('SIGINT', async () => {
      console.log('interrupted, the server is ' + (server.running ? 'running' : 'gone'))
      await server.stop()
      process.exit()
    })
    setInterval(() => {}, 60_000)
    console.log(server.pid)`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  owners.push(owner)
  const lines = createInterface({ input: owner.stdout })[Symbol.asyncIterator]()
  const server = Number((await lines.next()).value)
  return { owner, server, folder, lines }
}

function killChildren(parent: ChildProcess, holding: string): void {
  // The watcher's script spans lines, which ps shows as they are or as blanks; each child begins a line.
  const children = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .split(/\n(?=\s*\d+\s+\d+\s)/)
    .map(line => line.trim().split(/\s+/))
    .filter(([, ppid, ...args]) => Number(ppid) === parent.pid && args.join(' ').includes(holding))
  expect(children).toHaveLength(1)
  for (const [pid] of children) process.kill(Number(pid), 'SIGKILL')
}

/** The shell has come past its trap. */
function untilItRuns(): Promise<void> {
  return vi.waitFor(() => expect(readFileSync(join(scratch, 'server.log'), 'utf8')).toContain('running'), PATIENT)
}

function processGroup(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' }))
}

function untilGone(pid: number): Promise<void> {
  return vi.waitFor(() => expect(processIdentity(pid)).toBeUndefined(), PATIENT)
}
