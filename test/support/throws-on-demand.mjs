// Preloaded into a service (NODE_OPTIONS=--import): SIGUSR2 throws where nobody catches, as a bug in a native callback does.
process.on('SIGUSR2', () => {
  throw new RangeError('the order of Jane Roe\nwas too long')
})
