// Preloaded into a service (NODE_OPTIONS=--import): after SIGUSR2 the batches of one partition, STALLED_PARTITION, wait for an
// answer that never comes, as they would for a promise that our own code has lost. It says so: a signal that was sent may not
// have arrived.
import pg from 'pg'

let stalled = false
process.on('SIGUSR2', () => {
  stalled = true
  console.log('stalled from here on')
})
const { query } = pg.Client.prototype
pg.Client.prototype.query = function (statement, ...rest) {
  const isBatch =
    statement?.name === 'progress_advance' && String(statement.values[1]) === process.env.STALLED_PARTITION
  return stalled && isBatch ? new Promise(() => {}) : query.call(this, statement, ...rest)
}
