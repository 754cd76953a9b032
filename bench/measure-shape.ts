import { type Backlog, produceBacklog } from './backlog.ts'
import { rivalContender } from './beside.ts'
import { COPY_LIMIT, limitContenders, serviceContender, serviceContenders, UPSERT_LIMIT } from './contenders.ts'
import type { ShapeResult } from './figures.ts'
import { measureHashPartitions } from './hash-partitions.ts'
import { measureLatency } from './latency.ts'
import { median, quotients } from './measurement.ts'
import { measureReplay } from './replay.ts'
import { type Bench, takeTurns } from './rounds.ts'
import { recordsOfShape, type ShapeName } from './shapes.ts'
import { measureTwoStreams } from './two-streams.ts'

type Measured = Omit<ShapeResult, 'shape' | 'orders'>

/** Fills the topic of a shape and measures the work on it. */
export async function measureShape(bench: Bench, shape: ShapeName): Promise<ShapeResult> {
  const input = recordsOfShape(shape, bench.options)
  bench.say(`${shape}: producing ${input.orders} records`)
  const backlog = await produceBacklog(bench.servers.connection, input)
  return { shape, orders: backlog.orders, ...(await measure(bench, shape, backlog)) }
}

function measure(bench: Bench, shape: ShapeName, backlog: Backlog): Promise<Measured> {
  switch (shape) {
    case 'replay':
      return measureReplay(bench, backlog)
    case 'two-streams':
      return measureTwoStreams(bench, backlog)
    case 'processes':
      return measureProcesses(bench, backlog)
    case 'hash-partitions':
      return measureHashPartitions(bench, backlog)
    case 'latency':
      return measureLatency(bench, backlog)
    default:
      return measureBeside(bench, shape, backlog)
  }
}

/** The service, beside PostgreSQL alone and whatever the options name. */
async function measureBeside(bench: Bench, shape: ShapeName, backlog: Backlog): Promise<Measured> {
  // What a rival does about invalid records is its own affair: there is nothing to compare.
  const rivals = backlog.invalid > 0 ? [] : bench.options.beside
  const contenders = [
    ...limitContenders(bench, backlog),
    ...serviceContenders(bench, backlog),
    ...rivals.map(rival => rivalContender(bench, backlog, rival)),
  ]
  const measurements = await takeTurns(bench, shape, contenders)
  return { bases: [UPSERT_LIMIT, COPY_LIMIT], measurements, further: {}, failures: [] }
}

const ALONE = '1 process'

async function measureProcesses(bench: Bench, backlog: Backlog): Promise<Measured> {
  const contenders = [1, 2, 4].map(processes =>
    serviceContender(bench, backlog, { name: processes === 1 ? ALONE : `${processes} processes`, processes }),
  )
  const measurements = await takeTurns(bench, 'processes', contenders)
  const ratio = (name: string) => median(quotients(measurements, name, ALONE))
  const further = { two_processes_of_one: ratio('2 processes'), four_processes_of_one: ratio('4 processes') }
  return { bases: [ALONE], measurements, further, failures: [] }
}
