import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { startWire } from '../../support/faults/start-wire.ts'
import { createWire, type Wire } from '../../support/faults/wire.ts'

const parts: AsyncDisposable[] = []
afterEach(async () => {
  for (const part of parts.splice(0).reverse()) await part[Symbol.asyncDispose]()
})

/** Answers each line with itself, as `reply LINE`. */
async function anEcho(): Promise<{ readonly port: number; readonly received: string[] }> {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {}).setEncoding('utf8')
    socket.on('data', line => {
      received.push(String(line))
      socket.write(`reply ${line}`)
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  parts.push({
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, received }
}

interface Caller {
  readonly socket: Socket
  /** All that has come so far. */
  readonly text: () => string
  /** Resolves when so much has come. */
  until(text: string): Promise<void>
  /** The error code with which it ended. */
  readonly ended: Promise<string>
}

async function aCaller(port: number): Promise<Caller> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  let code = 'closed'
  const waiting = new Set<() => void>()
  socket.on('data', chunk => {
    text += chunk
    for (const look of waiting) look()
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? 'unknown'
  })
  const ended = new Promise<string>(resolve => socket.on('close', () => resolve(code)))
  parts.push({ [Symbol.asyncDispose]: async () => void socket.destroy() })
  await once(socket, 'connect')
  return {
    socket,
    text: () => text,
    until: wanted =>
      new Promise(resolve => {
        const look = () => text.includes(wanted) && resolve()
        waiting.add(look)
        look()
      }),
    ended,
  }
}

async function aWire(): Promise<{ wire: Wire; received: string[] }> {
  const { port, received } = await anEcho()
  const wire = await createWire({ targetPort: port })
  parts.push(wire)
  return { wire, received }
}

/** The bound only ends a broken test. */
const PATIENT = { timeout: 20_000 }

/** Waits; then the parts of this process take what has arrived meanwhile, also where the machine has held the process up. */
async function milliseconds(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve))
}

it('passes on what is said, both ways', async () => {
  const { wire } = await aWire()
  const caller = await aCaller(wire.port)
  caller.socket.write('one\n')
  await caller.until('reply one\n')
})

it('delays without changing the order, also when the delay ends', async () => {
  const { wire, received } = await aWire()
  const caller = await aCaller(wire.port)
  wire.set({ kind: 'delay', ms: 150 })
  const from = performance.now()
  caller.socket.write('one\n')
  await milliseconds(30)
  wire.set({ kind: 'pass' })
  caller.socket.write('two\n')
  await caller.until('two\n')
  expect(received.join('')).toBe('one\ntwo\n')
  expect(performance.now() - from).toBeGreaterThanOrEqual(145)
})

it('moves nothing in a black hole, keeps the connection, and goes on afterwards', async () => {
  const { wire, received } = await aWire()
  const caller = await aCaller(wire.port)
  wire.set({ kind: 'black-hole' })
  caller.socket.write('one\n')
  const late = await aCaller(wire.port)
  late.socket.write('two\n')
  await milliseconds(100)
  expect(received).toEqual([])
  expect(caller.text() + late.text()).toBe('')
  wire.set({ kind: 'pass' })
  await Promise.all([caller.until('reply one\n'), late.until('reply two\n')])
})

it('lets requests through and drops the answers; who missed one is reset afterwards', async () => {
  const { wire, received } = await aWire()
  const [caller, silent] = [await aCaller(wire.port), await aCaller(wire.port)]
  wire.set({ kind: 'drop-replies' })
  caller.socket.write('one\n')
  await expect.poll(() => received, PATIENT).toEqual(['one\n'])
  await milliseconds(30)
  expect(caller.text()).toBe('')
  wire.set({ kind: 'pass' })
  expect(await caller.ended).toBe('ECONNRESET')
  silent.socket.write('two\n')
  await silent.until('reply two\n')
})

it('resets what is open and what is new', async () => {
  const { wire } = await aWire()
  const open = await aCaller(wire.port)
  wire.set({ kind: 'reset' })
  expect(await open.ended).toBe('ECONNRESET')
  const socket = connect(wire.port, '127.0.0.1')
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  expect(error.code).toBe('ECONNRESET')
})

it('loses the reply to a request that has been done, also when the request comes in pieces', async () => {
  const { wire, received } = await aWire()
  const caller = await aCaller(wire.port)
  wire.set({ kind: 'lose-reply', request: 'COMMIT', reply: 'reply' })
  caller.socket.write('BEGIN\n')
  await caller.until('reply BEGIN\n')
  caller.socket.setNoDelay(true)
  caller.socket.write('xxCOM')
  await expect.poll(() => received.join(''), PATIENT).toContain('COM')
  await caller.until('reply xxCOM')
  caller.socket.write('MIT\n')
  expect(await caller.ended).toBe('ECONNRESET')
  expect(received.join('')).toBe('BEGIN\nxxCOMMIT\n')
  expect(caller.text()).not.toContain('MIT')
})

it('works the same as a process of its own', async () => {
  const { port, received } = await anEcho()
  const wire = await startWire({ targetPort: port })
  parts.push(wire)
  const caller = await aCaller(wire.port)
  caller.socket.write('one\n')
  await caller.until('reply one\n')
  await wire.set({ kind: 'drop-replies' })
  caller.socket.write('two\n')
  await expect.poll(() => received, PATIENT).toHaveLength(2)
  // The wire has had the reply to the second line when it passes on a third one.
  caller.socket.write('three\n')
  await expect.poll(() => received, PATIENT).toHaveLength(3)
  expect(caller.text()).toBe('reply one\n')
  await wire.set({ kind: 'pass' })
  expect(await caller.ended).toBe('ECONNRESET')
})
