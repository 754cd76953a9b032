/** What the service is to reach, and whether it has. */
import { grouped } from '../src/engine/grouped.ts'
import type { Figures } from './figures.ts'
import type { ShapeName } from './shapes.ts'

interface Target {
  readonly shape: ShapeName
  /** Name of the figure. */
  readonly name: string
  readonly about: string
  /** Below the floor there is work to do; the aim is what is wanted. */
  readonly floor: number
  readonly aim: number
  readonly unit: string
  readonly better: 'higher' | 'lower'
}

const TARGETS: readonly Target[] = [
  ratio('plain', 'drain_of_upsert_limit', 'drain / upsert limit', 0.85, 1.1),
  ratio('plain', 'drain_of_copy_limit', 'drain / copy limit', 0.5, 0.65),
  ratio('plain', 'drain_of_before', 'drain / the version before (--against)', 1.8, 2.4),
  ratio('replay', 'replay_of_first_drain', 'replay of a stored topic / first drain', 0.7, 1),
  atMost('plain', 'client_cpu_us', 'CPU of the service', 40, 28, ' µs an order'),
  atMost('plain', 'pg_cpu_us', 'CPU of PostgreSQL', 58, 46, ' µs an order'),
  atMost('plain', 'rss_mib', 'peak memory at full drain', 300, 200, ' MiB'),
  {
    ...{ shape: 'plain', name: 'records_a_batch', about: 'records a batch under a backlog' },
    ...{ floor: 900, aim: 990, unit: '', better: 'higher' },
  },
  atMost('latency', 'idle_cpu_percent', 'CPU while there is nothing to do', 1, 0.5, ' % of a core'),
  atMost('latency', 'trickle_p99_ms', 'record to commit at 50 orders/s, p99', 50, 25, ' ms'),
]

/** A line for each target whose figure was measured. */
export function verdicts(figuresOf: (shape: ShapeName) => Figures | undefined): string[] {
  return TARGETS.flatMap(target => {
    const figure = figuresOf(target.shape)?.[target.name]
    if (typeof figure !== 'number') return []
    const { about, floor, aim, unit } = target
    const against = (name: string, bound: number) =>
      `${name} ${shown(bound)}: ${reaches(figure, bound, target) ? 'reached' : 'missed'}`
    return [`${about}: ${shown(figure)}${unit}; ${against('floor', floor)}, ${against('aim', aim)}`]
  })
}

function reaches(figure: number, bound: number, { better }: Target): boolean {
  return better === 'higher' ? figure >= bound : figure <= bound
}

function shown(figure: number): string {
  return figure < 10 ? figure.toFixed(2) : grouped(Math.round(figure))
}

function ratio(shape: ShapeName, name: string, about: string, floor: number, aim: number): Target {
  return { shape, name, about, floor, aim, unit: '', better: 'higher' }
}

function atMost(shape: ShapeName, name: string, about: string, floor: number, aim: number, unit: string): Target {
  return { shape, name, about, floor, aim, unit, better: 'lower' }
}
