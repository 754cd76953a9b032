/** The wire as a process of its own: ports as arguments, modes over IPC. Ends with its parent. */
import { createWire, type WireMode } from './wire.ts'

const [port = '0', targetPort = '0'] = process.argv.slice(2)
const wire = await createWire({ port: Number(port), targetPort: Number(targetPort) })
process.on('message', ({ id, mode }: { readonly id: number; readonly mode: WireMode }) => {
  wire.set(mode)
  process.send?.({ done: id })
})
process.on('disconnect', () => process.exit())
// Ctrl-C reaches the whole process group; the parent still needs a wire while it stops what it started.
process.on('SIGINT', () => {})
process.send?.({ port: wire.port })
