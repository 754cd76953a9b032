/** The faults, each with its name, what it is done to, and how to undo it. They compose: any two on different targets. */
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { type KafkaCluster, ROLES, type Role } from '../kafka-cluster.ts'
import type { Replica } from './replica.ts'
import type { WireProcess } from './start-wire.ts'
import type { WireMode } from './wire.ts'
import type { BrokerCount, LoneBroker, World } from './world.ts'

export interface Fault {
  inject(): Promise<void>
  /** Undoes it, and resolves when what it was done to is there again. Safe after a failed `inject`. */
  heal(): Promise<void>
}

export interface FaultKind {
  readonly name: FaultName
  readonly target: 'worker' | 'broker' | 'store'
  /** Between `inject` and `heal`, least and most. */
  readonly durationMs: readonly [number, number]
  /** What `heal` takes by itself (a server that starts), about: for schedules. */
  readonly healMs: number
  /** From when on the stream owes progress: another worker takes over at once, a server first has to come back. */
  readonly stopCountsFrom: 'inject' | 'heal'
  /** The one stream that halts for it, while the others go on. */
  readonly halts?: string
  /** Only where there are so many brokers. Default: however many there are. */
  readonly brokers?: BrokerCount
  make(world: World, worker: Replica, told: Told): Fault
}

/** What a fault found out that should not have happened. */
export type Told = (what: string) => void

export const FAULT_NAMES = [
  'worker-kill',
  'worker-freeze',
  'worker-term',
  'worker-term-twice',
  'broker-restart',
  'broker-crash',
  'broker-freeze',
  'broker-black-hole',
  'broker-slow',
  'broker-mute',
  'broker-reset',
  'broker-amnesia',
  'store-stop',
  'store-crash',
  'store-kill',
  'store-backend-kill',
  'store-terminate',
  'store-black-hole',
  'store-slow',
  'store-reset',
  'store-lost-commit-reply',
  'store-read-only',
  'store-table-lock',
  'store-column-dropped',
] as const
/** Where a pooler stands between the service and the database. */
export const POOLER_FAULT_NAMES = ['pooler-kill', 'pooler-freeze'] as const
/** Where there are three brokers. */
export const CLUSTER_FAULT_NAMES = [
  'leader-kill',
  'leader-freeze',
  'coordinator-kill',
  'coordinator-freeze',
  'controller-kill',
  'controller-freeze',
  'majority-freeze',
  'rolling-restart',
] as const
export type FaultName = (typeof FAULT_NAMES | typeof POOLER_FAULT_NAMES | typeof CLUSTER_FAULT_NAMES)[number]

/** The faults that can be done to so many brokers, and to a pooler where there is one. */
export function faultNames({
  brokers,
  pooler,
}: {
  readonly brokers: BrokerCount
  readonly pooler: boolean
}): FaultName[] {
  const names: FaultName[] = [...FAULT_NAMES, ...(pooler ? POOLER_FAULT_NAMES : []), ...CLUSTER_FAULT_NAMES]
  return names.filter(name => [undefined, brokers].includes(faultKind(name).brokers))
}

/** A stop that is asked for must be over so long after its own bound. */
const EXIT_SLACK_MS = 3_000

export const FAULTS: readonly FaultKind[] = [
  worker('worker-kill', [500, 4_000], 'inject', replica => ({
    inject: () => replica.kill(),
    heal: () => startAgain(replica),
  })),
  // From far below the session timeout to beyond it, so that its partitions are taken over and it wakes as a zombie.
  worker('worker-freeze', [1_000, 12_000], 'inject', replica => ({
    inject: async () => replica.freeze(),
    heal: async () => replica.thaw(),
  })),
  worker('worker-term', [500, 3_000], 'inject', (replica, told, shutdownTimeoutMs) => ({
    inject: () => leave(replica, told, shutdownTimeoutMs),
    heal: () => startAgain(replica),
  })),
  worker('worker-term-twice', [500, 3_000], 'inject', (replica, told) => ({
    inject: () => leave(replica, told, 200, 50),
    heal: () => startAgain(replica),
  })),

  loneBroker('broker-restart', [500, 5_000], 6_000, ({ kafka }) => ({
    inject: () => kafka.stop(),
    heal: () => kafka.restart(),
  })),
  loneBroker('broker-crash', [500, 5_000], 6_000, ({ kafka }) => ({
    inject: async () => kafka.kill('SIGKILL'),
    heal: () => kafka.restart(),
  })),
  loneBroker('broker-freeze', [1_000, 8_000], 0, ({ kafka }) => ({
    inject: async () => kafka.kill('SIGSTOP'),
    heal: async () => kafka.kill('SIGCONT'),
  })),
  wire('broker-black-hole', 'broker', [2_000, 15_000], () => ({ kind: 'black-hole' })),
  wire('broker-slow', 'broker', [3_000, 8_000], () => ({ kind: 'delay', ms: 200 })),
  wire('broker-mute', 'broker', [1_000, 5_000], () => ({ kind: 'drop-replies' })),
  wire('broker-reset', 'broker', [500, 5_000], () => ({ kind: 'reset' })),
  // It reports that the cluster has no brokers, itself included; in about half of the cases a client never recovers from it.
  wire('broker-amnesia', 'broker', [1_000, 4_000], () => ({ kind: 'no-brokers' })),

  server('store-stop', 'store', [1_000, 8_000], 1_000, ({ postgres }) => ({
    inject: () => postgres.stop('fast'),
    heal: () => startStoreAgain(postgres),
  })),
  server('store-crash', 'store', [1_000, 8_000], 1_500, ({ postgres }) => ({
    inject: () => postgres.stop('immediate'),
    heal: () => startStoreAgain(postgres),
  })),
  server('store-kill', 'store', [500, 3_000], 2_000, ({ postgres }) => ({
    inject: async () => postgres.kill('SIGKILL'),
    heal: () => startStoreAgain(postgres),
  })),
  // A backend that is killed takes all sessions with it: the server starts itself again.
  server('store-backend-kill', 'store', [500, 1_000], 500, world => ({
    inject: async () => {
      const [row] = await world.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'holdfast-lanes/%' ORDER BY query_start DESC LIMIT 1`,
      )
      if (row !== undefined) process.kill(row.pid, 'SIGKILL')
    },
    heal: () => answers(world),
  })),
  server('store-terminate', 'store', [500, 1_000], 0, world => ({
    inject: async () => {
      await world.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast-%' AND pid <> pg_backend_pid()`,
      )
    },
    heal: () => answers(world),
  })),
  wire('store-black-hole', 'store', [2_000, 15_000], () => ({ kind: 'black-hole' })),
  wire('store-slow', 'store', [3_000, 8_000], () => ({ kind: 'delay', ms: 100 })),
  wire('store-reset', 'store', [500, 5_000], () => ({ kind: 'reset' })),
  // The tag of a transaction that was committed, as the server sends it.
  wire('store-lost-commit-reply', 'store', [1_000, 5_000], () => ({
    kind: 'lose-reply',
    request: 'COMMIT',
    reply: 'COMMIT\0',
  })),
  server('store-read-only', 'store', [1_000, 8_000], 0, world => ({
    inject: () => readOnly(world, 'ALTER SYSTEM SET default_transaction_read_only = on'),
    heal: () => readOnly(world, 'ALTER SYSTEM RESET default_transaction_read_only'),
  })),
  server('store-table-lock', 'store', [1_000, 6_000], 0, ({ postgres }) => tableLock(postgres.url)),
  // The fault ends only after each process has reported that the stream has halted.
  { ...server('store-column-dropped', 'store', [1_000, 4_000], 8_000, columnDropped), halts: 'returns' },

  server('pooler-kill', 'store', [500, 5_000], 300, world => ({
    inject: () => poolerOf(world).stop('SIGKILL'),
    heal: () => poolerOf(world).restart(),
  })),
  server('pooler-freeze', 'store', [1_000, 8_000], 0, world => ({
    inject: async () => poolerOf(world).kill('SIGSTOP'),
    heal: async () => poolerOf(world).kill('SIGCONT'),
  })),
  // From below the session of a broker (9 s) to beyond it, in which others take over.
  ...ROLES.flatMap(role => [brokerIn(role, 'kill'), brokerIn(role, 'freeze')]),
  // Nothing can be acknowledged, and nothing decided: whoever is left waits.
  ofCluster('majority-freeze', [1_000, 12_000], 'heal', (cluster, { whole }) => {
    const frozen = cluster.ids.slice(0, 2)
    return {
      inject: async () => frozen.forEach(cluster.freeze),
      heal() {
        frozen.forEach(cluster.thaw)
        return whole()
      },
    }
  }),
  ofCluster('rolling-restart', [0, 0], 'inject', (cluster, { whole }) => ({
    async inject() {
      for (const id of cluster.ids) {
        await cluster.restart(id)
        await whole()
      }
    },
    heal: whole,
  })),
]

function poolerOf({ pooler }: World): NonNullable<World['pooler']> {
  if (pooler === undefined) throw new RangeError('no pooler stands between the service and the database')
  return pooler
}

export function faultKind(name: FaultName): FaultKind {
  const found = FAULTS.find(kind => kind.name === name)
  if (found === undefined) throw new RangeError(`no fault ${name}`)
  return found
}

function worker(
  name: FaultName,
  durationMs: readonly [number, number],
  stopCountsFrom: 'inject' | 'heal',
  make: (replica: Replica, told: Told, shutdownTimeoutMs: number) => Fault,
): FaultKind {
  return {
    name,
    target: 'worker',
    durationMs,
    healMs: 1_000,
    stopCountsFrom,
    make: (world, replica, told) => make(replica, told, world.shutdownTimeoutMs),
  }
}

function server(
  name: FaultName,
  target: 'broker' | 'store',
  durationMs: readonly [number, number],
  healMs: number,
  make: (world: World) => Fault,
): FaultKind {
  return { name, target, durationMs, healMs, stopCountsFrom: 'heal', make }
}

function wire(
  name: FaultName,
  target: 'broker' | 'store',
  durationMs: readonly [number, number],
  mode: () => WireMode,
): FaultKind {
  const on = (wire: WireProcess): Fault => ({
    inject: () => wire.set(mode()),
    heal: () => wire.set({ kind: 'pass' }),
  })
  if (target === 'broker') return loneBroker(name, durationMs, 0, broker => on(broker.wire))
  return server(name, target, durationMs, 0, world => on(world.storeWire))
}

function loneBroker(
  name: FaultName,
  durationMs: readonly [number, number],
  healMs: number,
  make: (broker: LoneBroker) => Fault,
): FaultKind {
  const on = ({ broker }: World): Fault => {
    if (!('wire' in broker)) throw new RangeError(`${name} is a fault of a lone broker`)
    return make(broker)
  }
  return { ...server(name, 'broker', durationMs, healMs, on), brokers: 1 }
}

interface OfCluster {
  /** The broker that is this to the first stream just now. */
  readonly idOf: (role: Role) => Promise<number>
  /** Resolves once all brokers have everything again. */
  readonly whole: () => Promise<void>
}

function ofCluster(
  name: FaultName,
  durationMs: readonly [number, number],
  stopCountsFrom: FaultKind['stopCountsFrom'],
  make: (cluster: KafkaCluster, of: OfCluster) => Fault,
): FaultKind {
  const on = ({ broker, streams }: World): Fault => {
    const [first] = streams
    if ('wire' in broker || first === undefined) throw new RangeError(`${name} is a fault of a cluster`)
    const topics = streams.flatMap(({ topic, dlqTopic }) => [topic, dlqTopic])
    return make(broker, {
      idOf: role => broker.idOf(role, first),
      whole: () => broker.whole('__consumer_offsets', ...topics),
    })
  }
  return { ...server(name, 'broker', durationMs, 8_000, on), brokers: 3, stopCountsFrom }
}

/** The others take over from it. */
function brokerIn(role: Role, how: 'kill' | 'freeze'): FaultKind {
  return ofCluster(`${role}-${how}`, [1_000, 15_000], 'inject', (cluster, { idOf, whole }) => {
    let id: number | undefined
    return {
      async inject() {
        id = await idOf(role)
        cluster[how](id)
      },
      async heal() {
        if (id === undefined) return
        if (how === 'kill') await cluster.restart(id)
        else cluster.thaw(id)
        await whole()
      },
    }
  })
}

async function leave(replica: Replica, told: Told, boundMs: number, secondAfterMs?: number): Promise<void> {
  const { code, tookMs } = await replica.terminate(secondAfterMs)
  // 137: it had not drained within its bound, or received a second signal, and ended itself. 143: a second signal arrived
  // during its exit, when its handler was already removed.
  if (code !== 0 && code !== 137 && !(code === 143 && secondAfterMs !== undefined))
    told(`replica ${replica.slot} ended with ${code} after SIGTERM`)
  if (tookMs > boundMs + EXIT_SLACK_MS)
    told(`replica ${replica.slot} took ${Math.round(tookMs)} ms to end, with a bound of ${boundMs} ms`)
}

async function startAgain(replica: Replica): Promise<void> {
  if (replica.state === 'gone') await replica.start()
}

/** After a crash the last sessions of the old server may hold its memory for a moment more, and a start is refused. */
async function startStoreAgain(postgres: World['postgres']): Promise<void> {
  await untilItSucceeds(() => postgres.restart())
}

/** The server replays its log before it takes connections. */
async function answers(world: World): Promise<void> {
  await untilItSucceeds(() => world.query('SELECT 1'))
}

/** Tries for a minute, because a server's recovery takes that long on a busy machine. */
async function untilItSucceeds(step: () => Promise<unknown>): Promise<void> {
  const until = performance.now() + 60_000
  for (;;) {
    try {
      await step()
      return
    } catch (error) {
      if (performance.now() > until) throw error
      await wait(200)
    }
  }
}

async function readOnly(world: World, statement: string): Promise<void> {
  await world.query(statement)
  await world.query('SELECT pg_reload_conf()')
}

function tableLock(url: string): Fault {
  let client: pg.Client | undefined
  return {
    async inject() {
      client = new pg.Client({ connectionString: url })
      client.on('error', () => {})
      await client.connect()
      await client.query('BEGIN')
      await client.query('LOCK TABLE orders IN ACCESS EXCLUSIVE MODE')
    },
    async heal() {
      await client?.end()
    },
  }
}

/** A migration that went wrong, and its repair: the column comes back as the last one, with the values that it had. */
function columnDropped(world: World): Fault {
  let dropped = false
  return {
    async inject() {
      // Locked first: a row that is committed between the copy and the drop would lose its reason.
      await world.query(`
        BEGIN;
        LOCK TABLE returns IN ACCESS EXCLUSIVE MODE;
        CREATE TABLE chaos_reasons AS SELECT return_id, reason FROM returns;
        ALTER TABLE returns DROP COLUMN reason;
        COMMIT`)
      dropped = true
    },
    async heal() {
      if (!dropped) return
      // The values only return to their rows: that is no write of the service, which the triggers of the run would note.
      await world.query(`
        BEGIN;
        ALTER TABLE returns DISABLE TRIGGER USER;
        ALTER TABLE returns ADD COLUMN reason text;
        UPDATE returns SET reason = kept.reason FROM chaos_reasons AS kept WHERE kept.return_id = returns.return_id;
        ALTER TABLE returns ALTER COLUMN reason SET NOT NULL;
        ALTER TABLE returns ENABLE TRIGGER USER;
        DROP TABLE chaos_reasons;
        COMMIT`)
    },
  }
}
