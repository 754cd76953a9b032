import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { WireMode, WireOptions } from './wire.ts'

/** The wire, in a process of its own: neither a busy test nor a busy client makes it slower than it should be. */
export interface WireProcess extends AsyncDisposable {
  readonly port: number
  /** Resolves once it is in force. */
  set(mode: WireMode): Promise<void>
}

const PROGRAM = fileURLToPath(new URL('./wire-process.ts', import.meta.url))

export async function startWire({ port = 0, targetPort }: WireOptions): Promise<WireProcess> {
  const child = fork(PROGRAM, [String(port), String(targetPort)], { execArgv: [] })
  const exited = once(child, 'exit')
  const ready = Promise.withResolvers<number>()
  const waiting = new Map<number, () => void>()
  let lastId = 0
  child.on('message', (message: { readonly port?: number; readonly done?: number }) => {
    if (message.port !== undefined) ready.resolve(message.port)
    if (message.done !== undefined) waiting.get(message.done)?.()
  })
  void exited.then(([code]) => ready.reject(new Error(`the wire ended with ${code}`)))
  const actualPort = await ready.promise

  return {
    port: actualPort,
    async set(mode) {
      const id = ++lastId
      const done = new Promise<void>(resolve => waiting.set(id, resolve))
      child.send({ id, mode })
      await Promise.race([done, exited.then(() => Promise.reject(new Error('the wire has ended')))])
      waiting.delete(id)
    },
    async [Symbol.asyncDispose]() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}
