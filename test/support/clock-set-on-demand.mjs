// Preloaded into a service (NODE_OPTIONS=--import): SIGUSR2 sets its wall clock, each time by the next of CLOCK_STEPS (in ms,
// relative to the true time), as an operator or a time server would. What counts durations goes on as ever.
// It says so: a signal that was sent may not have arrived.
const steps = (process.env.CLOCK_STEPS ?? '').split(',').map(Number)
const trueNow = Date.now
let shiftMs = 0
process.on('SIGUSR2', () => {
  shiftMs = steps.shift() ?? shiftMs
  console.log(`clock set by ${shiftMs} ms`)
})
const now = () => trueNow() + shiftMs
globalThis.Date = new Proxy(Date, {
  construct: (target, given, as) => Reflect.construct(target, given.length === 0 ? [now()] : given, as),
  apply: target => new target(now()).toString(),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
})
