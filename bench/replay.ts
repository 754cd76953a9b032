/** The shape `replay`: a topic that is already stored is consumed once more. */
import type { Backlog } from './backlog.ts'
import { differences, ledgerFailures, recordsPerBatch, tallyOf } from './checks.ts'
import { serviceOptions } from './contenders.ts'
import { ask, migrated } from './database.ts'
import { drainBacklog } from './drain-span.ts'
import type { ShapeResult } from './figures.ts'
import { median, quotients } from './measurement.ts'
import { type Bench, type Contender, takeTurns } from './rounds.ts'
import { runCommand } from './service.ts'

const FIRST = 'first drain'
const REPLAY = 'replay'

export async function measureReplay(bench: Bench, backlog: Backlog): Promise<Omit<ShapeResult, 'shape' | 'orders'>> {
  const measurements = await takeTurns(bench, 'replay', [replayContender(bench, backlog)])
  const ratio = median(quotients(measurements, REPLAY, FIRST))
  return { bases: [FIRST], measurements, further: { replay_of_first_drain: ratio }, failures: [] }
}

/** Both drains of a turn are on the same database, by the same group. */
function replayContender(bench: Bench, backlog: Backlog): Contender {
  const { servers, options } = bench
  return {
    name: REPLAY,
    prepare: migrated,
    async work(databaseUrl, run) {
      const service = (as = run) => ({
        ...serviceOptions(bench, backlog, databaseUrl, run, { name: REPLAY }, as),
        ...{ processes: options.processes, scrapeEveryMs: undefined },
      })
      const first = await drainBacklog(servers, service())
      const firstBatches = await recordsPerBatch(databaseUrl, run)
      for (const [partition, end] of backlog.ends.entries()) {
        if (end === 0n) continue
        const seek = ['seek', '--partition', String(partition), '--to', 'earliest', '--because', 'the benchmark']
        await runCommand(servers, service(), seek)
      }
      // As ahead of the first one: neither pays for dirty pages of what was before.
      await ask(databaseUrl, 'CHECKPOINT')
      const movedAt = new Date()
      const second = await drainBacklog(servers, service(`${run}_again`))
      const wrong = [
        ...differences(await tallyOf(databaseUrl), backlog.expected),
        ...(await ledgerFailures(databaseUrl, run, { ...backlog, times: 2 })),
      ]
      const secondBatches = await recordsPerBatch(databaseUrl, run, movedAt)
      return [
        { contender: FIRST, ...first, recordsPerBatch: firstBatches },
        { contender: REPLAY, ...second, recordsPerBatch: secondBatches, failures: [...second.failures, ...wrong] },
      ]
    },
  }
}
