import { setTimeout as interval } from 'node:timers/promises'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { generated } from '../support/model.ts'
import { eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

/** From the commit to the last old answer. */
const PROMISE_MS = 1_000
const UIDS = ['hot-1', 'hot-2', 'hot-3', 'hot-4']
/** Of each order, in one go; one after the other until there are enough reads, which on an idle machine is once. */
const UPDATES = 400
const READS = 2_000
const HITS = READS / 10

it('serves what another process wrote within a second, and never an older version after a newer one', async () => {
  // Given two processes in front of the same tables; which of them writes an order, the group decides
  const stream = await aStream()
  const replicas = await Promise.all([startService(stream), startService(stream)])
  for (const replica of replicas) await eventually(() => isReady(replica), 'both being ready')
  await eventually(() => replicas.every(isCoherent), 'both listening to one another')
  const watch = watchOver(stream, replicas)

  // When a few orders change all the time, and both are asked for them as fast as they can answer
  let last = 0
  async function moreUpdates(): Promise<void> {
    await update(stream, last + 1, last + UPDATES)
    last += UPDATES
  }
  await eventually(async () => {
    await moreUpdates()
    return watch.counts().hits > HITS
  }, 'enough answers from memory')
  await eventually(() => watch.allSaw(last), 'both serving the last version')

  // And when meanwhile the connections that listen are ended as soon as they are there, so that notices get lost
  const killer = await client(stream)
  let killed = 0
  const stopKilling = repeatedly(async () => {
    killed += (await killer.query(KILL)).rowCount ?? 0
  }, 5)
  await eventually(async () => {
    await moreUpdates()
    return killed > 3 && watch.counts().reads > READS
  }, 'enough connections to kill, and reads')
  await stopKilling()
  await eventually(() => watch.allSaw(last), 'both serving the last version')

  // Then each answer was new enough, and no replica ever went back
  expect(await watch.stop()).toEqual([])
  for (const replica of replicas) {
    // Repeats are told of once in a while.
    const heard = () => replica.log.filter(({ event }) => event === 'coherence_established').length
    await eventually(() => heard() > 1, 'a replica that says it hears again')
  }
  expect(await stream.findings()).toEqual([])
})

const isCoherent = (replica: Service) => replica.log.some(({ event }) => event === 'coherence_established')

const KILL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name LIKE 'holdfast-listen/%'`

/** The version of an order is its `sm_id`: versions `from` to `to`, of each uid in turn, at a steady pace. */
async function update(stream: Stream, from: number, to: number): Promise<void> {
  const [sample] = generated(1, { seed: 1 })
  const order = JSON.parse(String(sample?.value))
  for (let version = from; version <= to; version += 10) {
    const records = Array.from({ length: 10 }, (_, i) => version + i).flatMap(sm_id =>
      UIDS.map(uid => ({ key: Buffer.from(uid), value: JSON.stringify({ ...order, order_uid: uid, sm_id }) })),
    )
    await stream.produce(records)
    await interval(50)
  }
}

/**
 * Reads all orders from all replicas, without a pause. What an answer must not be older than is known from what the
 * database itself said a second earlier, and from what this replica has answered before.
 */
function watchOver(stream: Stream, replicas: readonly Service[]) {
  const failures: string[] = []
  const latest = new Map<string, number>()
  const stored: { readonly atMs: number; readonly versions: ReadonlyMap<string, number> }[] = []
  let reads = 0
  let hits = 0
  const stops = [
    repeatedly(lookIntoTables, 20),
    ...replicas.flatMap((replica, i) => UIDS.map(uid => repeatedly(() => read(replica, i, uid)))),
  ]

  async function lookIntoTables(): Promise<void> {
    const rows = await stream.query<{ order_uid: string; sm_id: string }>('SELECT order_uid, sm_id FROM orders')
    // All of it was committed by now.
    stored.push({ atMs: performance.now(), versions: new Map(rows.map(row => [row.order_uid, Number(row.sm_id)])) })
  }

  async function read(replica: Service, i: number, uid: string): Promise<void> {
    const askedAt = performance.now()
    const due = stored.findLast(({ atMs }) => atMs <= askedAt - PROMISE_MS)?.versions.get(uid) ?? 0
    const response = await fetch(`${replica.url}/order/${uid}`)
    const body = (await response.json()) as { readonly sm_id?: number }
    const version = response.status === 404 ? 0 : (body.sm_id ?? Number.NaN)
    const before = latest.get(`${i} ${uid}`) ?? 0
    reads += 1
    if (response.headers.get('cache-status')?.startsWith('holdfast; hit')) hits += 1
    if (!(version >= due)) failures.push(`replica ${i}, ${uid}: ${version}, a second after ${due} was committed`)
    if (!(version >= before)) failures.push(`replica ${i}, ${uid}: ${version} after ${before}`)
    latest.set(`${i} ${uid}`, Math.max(version, before))
  }

  return {
    counts: () => ({ reads, hits }),
    allSaw: (version: number) => replicas.every((_, i) => UIDS.every(uid => latest.get(`${i} ${uid}`) === version)),
    /** @returns what was wrong */
    async stop() {
      for (const stop of stops) await stop()
      return failures.slice(0, 20)
    },
  }
}

/** @returns what stops it: resolves once the last round is over, rejects with the error that one of them met */
function repeatedly(work: () => Promise<void>, pauseMs = 0): () => Promise<void> {
  let stopped = false
  const running = (async () => {
    while (!stopped) {
      await work()
      if (pauseMs > 0) await interval(pauseMs)
    }
  })()
  running.catch(() => {})
  const stop = async () => {
    stopped = true
    await running
  }
  onTestFinished(() => stop().catch(() => {}))
  return stop
}

async function client(stream: Stream): Promise<pg.Client> {
  const connected = new pg.Client({ connectionString: stream.databaseUrl })
  await connected.connect()
  onTestFinished(() => connected.end())
  return connected
}
