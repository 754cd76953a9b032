// Preloaded into a service (NODE_OPTIONS=--import): SIGUSR2 blocks its event loop, as a loop without end in somebody's code
// would; for BLOCKED_FOR_MS. It says so first: a signal that was sent may not have arrived.
import { writeSync } from 'node:fs'

const cell = new Int32Array(new SharedArrayBuffer(4))
process.on('SIGUSR2', () => {
  writeSync(1, 'blocked from here on\n')
  Atomics.wait(cell, 0, 0, Number(process.env.BLOCKED_FOR_MS))
})
