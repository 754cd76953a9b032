// Preloaded into a service (NODE_OPTIONS=--import): SIGUSR2 blocks its event loop, as a loop without end in somebody's code
// would; for BLOCKED_FOR_MS.
const cell = new Int32Array(new SharedArrayBuffer(4))
process.on('SIGUSR2', () => Atomics.wait(cell, 0, 0, Number(process.env.BLOCKED_FOR_MS)))
