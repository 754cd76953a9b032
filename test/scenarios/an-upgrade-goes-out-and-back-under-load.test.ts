import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, onTestFailed } from 'vitest'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast } from '../support/cli.ts'
import { differences, modelOf } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { failing, letterCounts, membersIn, redriven } from '../support/redrives.ts'
import { eventually, isReady, type LogLine, type Service, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, type Stream, streamTools, totalOf } from '../support/stream.ts'
import { startTraffic } from '../support/traffic.ts'
import { itWithVersionBefore, VERSION_BEFORE } from '../support/version-before.ts'

streamTools()

const PARTITIONS = 6
const KEY = 'a-key-of-an-operator'
const KEYS = `ada:admin:${createHash('sha256').update(KEY).digest('hex')}`
const env = {
  API_KEYS: KEYS,
  BATCH_MAX_RECORDS: '50',
  DLQ_STORM_MAX_CONSECUTIVE: '0',
  DLQ_STORM_RATIO: '0',
  KAFKA_CONFIG: 'heartbeat.interval.ms=500',
}
/** Before a service: its schema has a rule that was a mistake. */
const STRICTER = fileURLToPath(new URL('../support/stricter-schema.mjs', import.meta.url))

/** Each is of letters of its own, half of which pass. The first two lose their worker in the midst of it, the others while they are paused.
 * Each takes ten seconds at least, in which it has to be paused, or its worker to be lost. */
const REDRIVES = {
  first: { to: 'store', rate: 5, letters: 60 },
  second: { to: 'topic', rate: 5, letters: 60 },
  third: { to: 'topic', rate: 4, letters: 40 },
  fourth: { to: 'store', rate: 4, letters: 40 },
} as const
type Name = keyof typeof REDRIVES
const NAMES = Object.keys(REDRIVES) as Name[]
const LETTERS = NAMES.reduce((sum, name) => sum + REDRIVES[name].letters, 0)
const TO_TOPIC = NAMES.filter(name => REDRIVES[name].to === 'topic').reduce(
  (sum, name) => sum + REDRIVES[name].letters,
  0,
)

itWithVersionBefore(
  'runs both versions beside one another, forwards and back, and loses nothing, writes nothing twice',
  async checkout => {
    // Given the tables of the version before, and dead letters, half of which a mistake in its schema has made
    let home = 'public'
    const stream = await aStream({ migrated: false, partitions: PARTITIONS, home: () => home })
    const before = { ...stream, env, checkout }
    const now = { ...stream, env }
    await holdfast(before, 'migrate', 'up')
    const letters = NAMES.flatMap(lettersOf)
    await stream.produce(letters)
    const mistaken = await startService({ ...before, env: { ...env, NODE_OPTIONS: `--import=${STRICTER}` } })
    await eventually(async () => (await stream.settled()) === LETTERS, 'them being set aside')
    expect(await mistaken.stop()).toBe(0)
    expect(await letterCounts(stream)).toEqual({ 'open 0': LETTERS })

    // And two processes of that version at work under load that does not stop, one of them on a redrive, which is paused for as long as it takes
    // to start another one
    const old = [await startService({ ...before, roles: ['consumer', 'api'] }), await startService(before)] as [
      Service,
      Service,
    ]
    const all = [...old]
    const ready = async (service: Service) => {
      all.push(service)
      await eventually(() => isReady(service), 'its being ready')
      return service
    }
    for (const service of old) await eventually(() => isReady(service), 'its being ready')
    const traffic = startTraffic(stream, 20, 100, { seed: 22, updatesRatio: 0.3 })
    await goesOn(stream)
    const [staying, leaving] = old
    await pausedRedrive(leaving, 'first')

    // When the new version migrates the tables, the old one goes on, with all that it does
    expect((await failing(holdfast(now, 'migrate', 'status'))).stderr).toContain(`runs: ${VERSION_BEFORE.version} `)
    await holdfast(now, 'migrate', 'up')
    home = 'holdfast'
    await goesOn(stream)
    for (const service of old) await answers(service, stream)

    // And a process of the new version takes the place of one: it takes its partitions, and the redrive
    const next = await ready(await startService(now))
    await bothWork(stream, staying, next)
    await resumedRedrive(leaving, 'first')
    expect(await leaving.stop()).toBe(0)
    await finishedBy(stream, next, 'first')
    await bothWork(stream, staying, next)
    const seen = await seeTheSame(stream, staying, next)
    await heldAndResumed(stream, staying, next)
    await heldAndResumed(stream, next, staying)

    // When the code goes back while the tables stay: what is deployed migrates first, and finds nothing to do
    await pausedRedrive(next, 'second')
    await holdfast(before, 'migrate', 'up')
    const back = await ready(await startService(before))
    await bothWork(stream, back, next)
    await resumedRedrive(next, 'second')
    expect(await next.stop()).toBe(0)
    await finishedBy(stream, back, 'second')
    for (const service of [staying, back]) await answers(service, stream)
    await proven(before)

    // When it goes out once more, with a redrive that an operator has paused
    await pausedRedrive(back, 'third')
    const again = await ready(await startService(now))
    expect(await back.stop()).toBe(0)
    await steer(again, 'third', 'resume')
    await finishedBy(stream, again, 'third')
    await proven(now)

    // And the last one of the old version is replaced
    const last = await ready(await startService({ ...now, roles: ['consumer', 'api'] }))
    expect(await staying.stop()).toBe(0)
    await bothWork(stream, last, again)
    for (const service of [last, again]) await answers(service, stream)

    // When all of it goes back, the tables too
    await pausedRedrive(again, 'fourth')
    const oldest = await ready(await startService(before))
    expect((await failing(holdfast(now, 'migrate', 'down'))).stderr).toContain(`pid ${again.pid} (`)
    for (const service of [again, last]) expect(await service.stop()).toBe(0)
    await migrateDown(now, before)
    home = 'public'
    await goesOn(stream)
    await steer(oldest, 'fourth', 'resume')
    await finishedBy(stream, oldest, 'fourth')
    await answers(oldest, stream)
    await traffic.stop()
    const records = traffic.sent
    const produced = LETTERS + TO_TOPIC + seen.length + records.length
    await eventually(async () => (await stream.settled()) === produced, 'all of it being settled')

    // Then each record is in the ledger once, with its one effect
    expect(totalOf(await stream.ledger())).toMatchObject({
      ...{ offsets: produced, records: produced, duplicate: 0, stale: 0, gaps: 0 },
      dead_lettered: LETTERS + TO_TOPIC / 2,
    })
    expect(await letterCounts(stream)).toEqual({ 'resolved 1': LETTERS / 2, 'open 1': LETTERS / 2 })
    const sent = (await redriven(stream)).map(({ id }) => id)
    expect([sent.length, new Set(sent).size]).toEqual([TO_TOPIC, TO_TOPIC])
    const model = modelOf(records).orders as Map<string, unknown>
    for (const { key, value } of [...letters.filter(passes), ...seen]) model.set(String(key), JSON.parse(String(value)))
    expect(await differences(stream, { orders: model as ReturnType<typeof modelOf>['orders'] })).toEqual([])

    // And the proof holds, value for value, for the version that is there now
    await proven(before)
    expect(await oldest.stop()).toBe(0)

    // And nobody was fenced off, or had anything to complain of
    expect(all.flatMap(({ log }) => log.filter(isTrouble))).toEqual([])
  },
)

function lettersOf(name: Name): ProducedRecord[] {
  const half = REDRIVES[name].letters / 2
  return [
    ...brokenOrders(half, { prefix: `${name}-fails`, partitions: PARTITIONS }),
    ...Array.from({ length: half }, (_, n): ProducedRecord => {
      const order = anOrder({ uid: `${name}-passes-${n}` })
      const value = JSON.stringify({ ...order, delivery: { ...order.delivery, zip: 'SW1A 1AA' } })
      return { key: Buffer.from(order.order_uid), value, partition: n % PARTITIONS }
    }),
  ]
}

function passes({ key }: ProducedRecord): boolean {
  return String(key).includes('-passes-')
}

async function goesOn(stream: Stream): Promise<void> {
  const before = await stream.settled()
  await eventually(async () => (await stream.settled()) > before + 100, 'the stream going on')
}

/** Both have partitions, and settle records of them. */
async function bothWork(stream: Stream, ...services: readonly Service[]): Promise<void> {
  const counts = () => Promise.all(services.map(service => service.metric('records_total')))
  const before = await counts()
  await eventually(async () => (await counts()).every((count, i) => count > (before[i] ?? 0)), 'both working')
  for (const service of services) await answers(service, stream)
}

async function request(service: Service, path: string, body?: object): Promise<{ status: number; text: string }> {
  const response = await fetch(`${service.url}${path}`, {
    headers: { Authorization: `Bearer ${KEY}`, Connection: 'close', 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  return { status: response.status, text: await response.text() }
}

/** What readers and operators ask for, pages and API. */
async function answers(service: Service, stream: Stream): Promise<void> {
  const [order] = await stream.query<{ uid: string }>('SELECT order_uid AS uid FROM orders LIMIT 1')
  const [letter] = await stream.query<{ id: string }>('SELECT id FROM holdfast.dead_letters LIMIT 1')
  const paths = [
    ...[
      '/readyz',
      '/livez',
      '/',
      '/admin',
      '/metrics',
      `/order/${order?.uid}`,
      '/view',
      `/view/story?key=${order?.uid}`,
    ],
    ...['/admin/stream', '/admin/replays', '/admin/audit', '/admin/timeline?span=15m'],
    ...[
      '/admin/dead-letters',
      '/admin/dead-letters/groups',
      '/admin/dead-letters/causes',
      '/admin/dead-letters/arrivals',
    ],
    ...[`/admin/dead-letters/${letter?.id}`],
  ]
  // (On a machine that is busy with others a server may be away for a moment, which is a 503, and no other answer.)
  for (const path of paths) {
    await eventually(async () => {
      const { status, text } = await request(service, path)
      expect([200, 503], `${path}: ${text}`).toContain(status)
      return status === 200
    }, `${path} being answered`)
  }
}

/** A new version of an order that both have read before reaches both of them. @returns what it has produced */
async function seeTheSame(stream: Stream, ...services: readonly Service[]): Promise<ProducedRecord[]> {
  const produced: ProducedRecord[] = []
  for (const amount of [1, 2]) {
    const order = anOrder({ uid: 'seen-by-both', amount })
    produced.push({ key: Buffer.from(order.order_uid), value: JSON.stringify(order), partition: 0 })
    await stream.produce(produced.slice(-1))
    for (const service of services) {
      await eventually(async () => {
        const { status, text } = await request(service, `/order/${order.order_uid}`)
        return status === 200 && JSON.parse(text).payment.amount === amount
      }, `version ${amount} of it being answered`)
    }
  }
  return produced
}

/** What an operator pauses at one of them, the other one shows, and resumes. */
async function heldAndResumed(stream: Stream, one: Service, other: Service): Promise<void> {
  const paused = async (service: Service) =>
    JSON.stringify(JSON.parse((await request(service, '/admin/stream')).text)).includes('"by":"ada"')
  const asked = { partition: 1, because: 'an upgrade' }
  expect((await request(one, '/admin/stream/pause', asked)).status).toBe(200)
  for (const service of [one, other]) await eventually(() => paused(service), 'the pause being shown')
  expect((await request(other, '/admin/stream/resume', asked)).status).toBe(200)
  for (const service of [one, other]) await eventually(async () => !(await paused(service)), 'its end being shown')
  await goesOn(stream)
}

async function startRedrive(service: Service, name: Name): Promise<void> {
  const { to, rate, letters } = REDRIVES[name]
  const guard = { canary: 0, max_failures: letters, yield_above: 0 }
  const { status, text } = await request(service, '/admin/replays', { q: `key:${name}-*`, to, rate, ...guard })
  expect([status, text]).toEqual([201, expect.stringContaining('"queued"')])
  expect(JSON.parse(text).replay).toMatchObject({ total: letters })
  ids.set(name, JSON.parse(text).replay.id as string)
}

const ids = new Map<Name, string>()

async function redriveOf(service: Service, name: Name): Promise<Redrive> {
  return JSON.parse((await request(service, `/admin/replays/${ids.get(name)}`)).text) as Redrive
}

async function steer(service: Service, name: Name, step: 'pause' | 'resume'): Promise<void> {
  const { status, text } = await request(service, `/admin/replays/${ids.get(name)}/${step}`, {})
  expect([status, text]).toEqual([200, expect.any(String)])
}

async function pausedRedrive(service: Service, name: Name): Promise<void> {
  await startRedrive(service, name)
  await eventually(async () => (await redriveOf(service, name)).published > 0, 'it being at work')
  await steer(service, name, 'pause')
  const paused = await eventually(async () => {
    const redrive = await redriveOf(service, name)
    return redrive.state === 'paused' && redrive
  }, 'its being paused')
  expect(paused.pending).toBeGreaterThan(0)
}

/** By the one that began it, and which goes on with it. */
async function resumedRedrive(service: Service, name: Name): Promise<void> {
  const { published } = await redriveOf(service, name)
  await steer(service, name, 'resume')
  await eventually(async () => (await redriveOf(service, name)).published > published, 'it going on')
}

/** Another process than the one that began it has worked on it to its end. */
async function finishedBy(stream: Stream, service: Service, name: Name): Promise<void> {
  const { letters } = REDRIVES[name]
  const done = await eventually(async () => {
    const redrive = await redriveOf(service, name)
    return redrive.state === 'done' && redrive.resolved + redrive.failed_again === letters && redrive
  }, `the redrive ${name} being done`)
  expect(done).toMatchObject({ published: letters, resolved: letters / 2, failed_again: letters / 2, skipped: 0 })
  expect(service.log.some(({ event, replay_id }) => event === 'replay_taken' && replay_id === done.id)).toBe(true)
  expect(await membersIn(stream, 'claimed', 'pending')).toBe(0)
}

/** By the command of a version. What is under way may not be committed yet. */
async function proven(version: Parameters<typeof holdfast>[0]): Promise<void> {
  let said: unknown
  onTestFailed(() => console.error(said))
  await eventually(async () => {
    try {
      await holdfast(version, 'verify', '--deep')
      return true
    } catch (error) {
      said = error
      return false
    }
  }, 'the proof')
}

async function migrateDown(now: Parameters<typeof holdfast>[0], before: Parameters<typeof holdfast>[0]): Promise<void> {
  const { stdout } = await holdfast(now, 'migrate', 'status', '--json')
  const rows = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { name: string })
  const known = (await holdfast(before, 'migrate', 'status', '--json')).stdout.trim().split('\n')
  const newer = rows.length - known.map(line => JSON.parse(line)).filter(row => row.known).length
  if (newer > 0) await holdfast(now, 'migrate', 'down', '--count', String(newer))
}

/** What a version that meets tables which it does not know would say. Letters that fail again, locks of the migration, and commits in a rebalance are none. */
function isTrouble({ level, event }: LogLine): boolean {
  const usual = [
    ...['dead_lettered', 'replay_page_settled', 'replay_page_published', 'replay_waiting'],
    ...['commit_failed', 'kafka_warning', 'start_waiting', 'retry'],
  ]
  return level === 'error' || level === 'fatal' || (level === 'warn' && !usual.includes(String(event)))
}
