import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BrokerFatalError, dispositionOf, StoreMisconfiguredError } from '#src/engine/errors.ts'
import { createRedriveWorker, type RedriveWorkerParts } from '#src/inbox/jobs/redrive-worker.ts'
import { countsAfterResume } from '#src/inbox/redrive-guard.ts'
import { type JobFact, REDRIVE_SEND_WINDOW_MS } from '#src/inbox/redrive-work.ts'
import { rounds } from '../../../support/effort.ts'
import { aRedriveWorld, FAILURE, type MemoryItem, type RedriveWorld } from '../../../support/memory-redrive-work.ts'
import {
  createVirtualProcess,
  createVirtualTime,
  type VirtualProcess,
  type VirtualTime,
} from '../../../support/simulation/virtual-time.ts'

const MAX_DEATHS = 5
/** How long a queue may take to find somebody for what waits. */
const LOOK_EVERY_MS = 1_000

interface Worker {
  readonly process: VirtualProcess
  readonly facts: JobFact[]
  readonly stop: AbortController
  /** Settles when it is told to stop, or when an error came out of it. */
  readonly ended: Promise<unknown>
}

/** A process that takes what waits, one after another, as the queue would have it. */
function aWorker(world: RedriveWorld, time: VirtualTime, name: string, over: Partial<RedriveWorkerParts> = {}): Worker {
  const process = createVirtualProcess(name, time)
  const facts: JobFact[] = []
  const stop = new AbortController()
  const ports = world.portsOf(process)
  const worker = createRedriveWorker({
    ...ports,
    clock: process.clock,
    ...{ random: () => 0.5, crashLoopMaxStarts: MAX_DEATHS },
    observer: { observe: fact => facts.push(fact) },
    ...over,
  })
  async function work(): Promise<unknown> {
    while (!stop.signal.aborted) {
      try {
        const id = await ports.store.waiting().catch(() => undefined)
        if (id !== undefined) await worker.run(id, stop.signal)
      } catch (error) {
        // The queue runs a job again that failed.
        if (dispositionOf(error) !== 'retry') return error
      }
      await process.clock.sleep(LOOK_EVERY_MS, stop.signal)
    }
    return undefined
  }
  return { process, facts, stop, ended: work() }
}

/** Lets time pass until the condition holds; the bound only ends a broken test. */
async function until(time: VirtualTime, holds: () => boolean, boundMs = 600_000): Promise<void> {
  while (!holds()) {
    if (!(await time.step()) || time.nowMs > boundMs) throw new Error(`it never came to that, until ${time.nowMs} ms`)
  }
}

/** A fate that only one way has. */
const UNFIT = { topic: 'too large', store: 'ahead' } as const

const ended = (world: RedriveWorld) => ['done', 'failed', 'cancelled', 'paused'].includes(world.state)
const idsOf = (world: RedriveWorld) => world.log.map(({ id }) => id)
const published = (world: RedriveWorld) => world.items.filter(item => item.at === 'published').map(item => item.id)

describe('a redrive protects those who start it', () => {
  const failing = (from: number, to: number) =>
    Object.fromEntries(Array.from({ length: to - from }, (_, n) => [from + n, 'fails' as const]))
  const RULES = { canary: 20, maxFailures: 20, yieldAboveSeconds: 10 }

  it('by its canary: when half of that fails again, nothing else is touched', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 1_000, to: 'store', rules: RULES, fates: failing(10, 1_000) })
    const { facts } = aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(world.state).toBe('paused')
    expect(world.log).toHaveLength(20)
    expect(world.pausedBecause).toMatchObject({
      ...{ kind: 'canary', ...FAILURE, counts: { failed_again: 10, of: 20 } },
    })
    await until(time, () => facts.at(-1)?.kind === 'replay_parted')
    expect(facts.at(-1)).toMatchObject({ to: 'paused', because: { kind: 'canary' } })
  })

  it('after it: when more than so many in a row fail again; a person who resumes it begins a new count', async () => {
    const time = createVirtualTime()
    const options = { count: 1_000, to: 'store', rate: 50, rules: RULES } as const
    const world = aRedriveWorld(time, { ...options, fates: { ...failing(0, 9), ...failing(200, 1_000) } })
    aWorker(world, time, 'one')
    await until(time, () => ended(world))
    // The canary, pages of 50, of which the fourth ends with twenty failures, and one more.
    expect(world.log).toHaveLength(221)
    expect(world.pausedBecause).toMatchObject({ kind: 'failures', ...FAILURE, counts: { failed_again: 21 } })

    world.counts = countsAfterResume(world.counts)
    world.state = 'queued'
    await until(time, () => ended(world))
    expect(world.log).toHaveLength(271)
    expect(world).toMatchObject({ state: 'paused', pausedBecause: { counts: { failed_again: 50 } } })
  })

  it('is done, and not paused, when nothing is left', async () => {
    const time = createVirtualTime()
    const options = { count: 100, to: 'store', rules: RULES } as const
    const world = aRedriveWorld(time, { ...options, fates: failing(20, 100) })
    aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(world.state).toBe('done')
  })

  it.each([0, 5, 10, 20, 40, 80])(
    'also when its worker is killed before it could say so, after %i ms',
    async afterMs => {
      const time = createVirtualTime()
      const world = aRedriveWorld(time, { count: 1_000, to: 'store', rules: RULES, fates: failing(0, 1_000) })
      const first = aWorker(world, time, 'one')
      await until(time, () => world.log.length === 20)
      time.after(afterMs, () => first.process.kill())
      aWorker(world, time, 'two')
      await until(time, () => ended(world))
      expect(world).toMatchObject({ state: 'paused', pausedBecause: { kind: 'canary', counts: { failed_again: 20 } } })
      expect(world.log).toHaveLength(20)
    },
  )

  it('to the topic: its canary waits until consumers have settled it, and says so', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 100, rules: RULES, settledAfterMs: 30_000, fates: { 3: 'gone' } })
    aWorker(world, time, 'one')
    await until(time, () => world.log.length === 19)
    await until(time, () => time.nowMs > 25_000)
    expect(world.log).toHaveLength(19)
    expect(world).toMatchObject({ state: 'running', waitingFor: { kind: 'outcomes' } })
    // One of the first twenty was skipped: another one takes its place.
    await until(time, () => world.log.length === 20)
    await until(time, () => ended(world))
    expect(world).toMatchObject({ state: 'done', waitingFor: undefined })
    expect(world.log).toHaveLength(99)
  })

  it('to the topic: it pauses when nobody settles its canary, and goes on without when a person says so', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 100, rules: RULES })
    aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(time.nowMs).toBeGreaterThan(60_000)
    expect(world).toMatchObject({
      state: 'paused',
      pausedBecause: { kind: 'unsettled', counts: { settled: 0, of: 20 } },
    })
    expect(world.log).toHaveLength(20)
    world.counts = countsAfterResume(world.counts)
    world.state = 'queued'
    await until(time, () => world.state === 'done')
    expect(world.log).toHaveLength(100)
  })

  it('does not begin before it is known how far the live stream is behind', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 10, to: 'store', rules: { ...RULES, canary: 0 } })
    world.lagSeconds = 'asked'
    aWorker(world, time, 'one')
    await until(time, () => time.nowMs > 20_000)
    expect(world.log).toEqual([])
    expect(world).toMatchObject({ state: 'running', waitingFor: undefined })
    world.lagSeconds = 3
    await until(time, () => ended(world))
    expect(world.log).toHaveLength(10)
  })

  it('rests while the live stream is behind, says so, and hears what an operator wants meanwhile', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 200, to: 'store', rate: 50, rules: RULES })
    world.lagSeconds = 34
    aWorker(world, time, 'one')
    await until(time, () => time.nowMs > 20_000)
    expect(world.log).toEqual([])
    expect(world).toMatchObject({
      state: 'running',
      waitingFor: { kind: 'lag', message: expect.stringContaining('34 s') },
    })
    world.lagSeconds = 3
    await until(time, () => world.log.length > 50)
    expect(world.waitingFor).toBeUndefined()
    world.lagSeconds = 11
    await until(time, () => world.waitingFor !== undefined)
    const rested = world.log.length
    world.state = 'pausing'
    await until(time, () => ended(world))
    expect(world).toMatchObject({ state: 'paused', pausedBecause: undefined, waitingFor: undefined })
    expect(world.log).toHaveLength(rested)
    // What is not known holds nothing up.
    world.lagSeconds = undefined
    world.state = 'queued'
    await until(time, () => world.state === 'done')
  })
})

describe('a redrive into the store', () => {
  const settled = (world: RedriveWorld) => world.items.filter(item => item.at === 'resolved').map(item => item.id)

  it('settles its set page by page, in order, each once, at the asked rate', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 400, to: 'store', rate: 50 })
    const { facts } = aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(world.state).toBe('done')
    expect(idsOf(world)).toEqual(world.items.map(item => item.id))
    // The last of eight pages begins after seven seconds.
    const [first, last] = [world.log[0]?.atMs ?? 0, world.log.at(-1)?.atMs ?? 0]
    expect((last - first) / 1000).toBeGreaterThan(6.9)
    expect((last - first) / 1000).toBeLessThan(7.3)
    const pages = facts.filter(fact => fact.kind === 'replay_page_settled')
    expect(pages.map(({ resolved }) => resolved)).toEqual(Array.from({ length: 8 }, () => 50))
    expect(facts.some(fact => fact.kind === 'replay_page_published')).toBe(false)
  })

  it('skips what cannot be settled, and says why', async () => {
    const time = createVirtualTime()
    const fates = { 0: 'gone', 3: 'no place', 5: 'not open', 7: 'ahead' } as const
    const world = aRedriveWorld(time, { count: 10, to: 'store', fates })
    const { facts } = aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(world.items.flatMap(item => (item.at === 'skipped' ? [item.why] : []))).toEqual([
      ...['bytes_gone', 'place_unknown', 'not_open', 'ahead_of_stream'],
    ])
    expect(settled(world)).toHaveLength(6)
    expect(facts.reduce((sum, fact) => sum + (fact.kind === 'replay_page_settled' ? fact.skipped : 0), 0)).toBe(4)
  })

  it('needs no topic: brokers that take no record do not keep it', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 1_200, to: 'store' })
    const { topic } = world.portsOf(createVirtualProcess('x', time))
    const away = () => Promise.reject(new Error('no record is published'))
    aWorker(world, time, 'one', { topic: { ...topic, ends: away, published: away, publish: away } })
    await until(time, () => ended(world))
    expect(world.state).toBe('done')
    expect(settled(world)).toHaveLength(1_200)
  })

  it('goes on after kill -9 where its page stood, and a worker that wakes settles nothing more', async () => {
    for (const what of ['kill', 'freeze'] as const) {
      const time = createVirtualTime()
      const world = aRedriveWorld(time, { count: 300, to: 'store', rate: 100 })
      const first = aWorker(world, time, 'one')
      await until(time, () => world.items.filter(item => item.at === 'claimed').length > 0 && world.log.length >= 100)
      first.process[what]()
      aWorker(world, time, 'two')
      await until(time, () => world.log.length > 200)
      if (what === 'freeze') first.process.thaw()
      await until(time, () => ended(world))
      expect(idsOf(world)).toEqual(world.items.map(item => item.id))
      expect(new Set(world.log.map(({ epoch }) => epoch))).toEqual(new Set([1, 2]))
    }
  })
})

describe('a letter that ends the process', () => {
  it('is found, and fails again without being looked at; its neighbours are settled', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 30, to: 'store', fates: { 7: 'kills', 20: 'kills' } })
    let killed = 0
    let worker = aWorker(world, time, 'first')
    for (;;) {
      await until(time, () => ended(world) || worker.process.state === 'dead')
      if (ended(world)) break
      killed += 1
      worker = aWorker(world, time, `next-${killed}`)
    }
    expect(world.state).toBe('done')
    expect(world.items.flatMap(({ at }, n) => (at === 'failed_again' ? [n] : []))).toEqual([7, 20])
    expect(world.items.filter(({ at }) => at === 'resolved')).toHaveLength(28)
    // To be found among its neighbours costs each two more.
    expect(killed).toBeLessThanOrEqual(2 * (MAX_DEATHS + 2))
  })

  it('is none of a page that a missing right keeps from being settled, however many workers meet that', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 30, to: 'store' })
    const missing: RedriveWorkerParts['settlement'] = {
      settle: () => Promise.reject(new StoreMisconfiguredError('no right')),
    }
    for (let n = 0; n < 2 * MAX_DEATHS; n++) {
      const worker = aWorker(world, time, `worker-${n}`, { settlement: missing })
      let over = false
      void worker.ended.then(() => {
        over = true
      })
      await until(time, () => over)
    }
    aWorker(world, time, 'last')
    await until(time, () => ended(world))
    expect(world.items.filter(({ at }) => at === 'resolved')).toHaveLength(30)
  })

  it('is none of those that workers had in hand which were killed while they waited for the bytes', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 30, to: 'store' })
    const first = aWorker(world, time, 'first')
    await until(time, () => world.items.some(({ at }) => at === 'claimed'))
    first.process.kill()
    world.broker = 'away'
    for (let n = 0; n < 2 * MAX_DEATHS; n++) {
      const { process } = aWorker(world, time, `worker-${n}`)
      const sinceMs = time.nowMs
      await until(time, () => time.nowMs > sinceMs + 20_000)
      process.kill()
    }
    world.broker = 'up'
    aWorker(world, time, 'last')
    await until(time, () => ended(world))
    expect(world.items.filter(({ at }) => at === 'resolved')).toHaveLength(30)
  })
})

describe('a redrive to the topic', () => {
  it('publishes its set in order, each once, at the asked rate', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 400, rate: 50 })
    const { facts } = aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(world.state).toBe('done')
    expect(idsOf(world)).toEqual(world.items.map(item => item.id))
    const [first, last] = [world.log[0]?.atMs ?? 0, world.log.at(-1)?.atMs ?? 0]
    expect((last - first) / 1000).toBeGreaterThan(7.9)
    expect((last - first) / 1000).toBeLessThan(8.3)
    const total = (of: (fact: JobFact) => number) => facts.reduce((sum, fact) => sum + of(fact), 0)
    expect(total(fact => (fact.kind === 'replay_page_published' ? fact.published : 0))).toBe(400)
    await until(time, () => facts.at(-1)?.kind === 'replay_parted')
    expect(facts.at(-1)).toEqual({ kind: 'replay_parted', id: 'r1', to: 'done' })
  })

  it('goes as fast as the broker acknowledges without a rate', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 2_000 })
    aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(idsOf(world)).toEqual(world.items.map(item => item.id))
    expect(time.nowMs).toBeLessThan(2_000)
  })

  it('skips what cannot be published, and says why', async () => {
    const time = createVirtualTime()
    const fates = { 0: 'gone', 3: 'no place', 5: 'not open', 7: 'too large' } as const
    const world = aRedriveWorld(time, { count: 10, fates })
    const { facts } = aWorker(world, time, 'one')
    await until(time, () => ended(world))
    expect(world.state).toBe('done')
    expect(world.items.flatMap(item => (item.at === 'skipped' ? [item.why] : []))).toEqual([
      'bytes_gone',
      'place_unknown',
      'not_open',
      'refused_by_topic',
    ])
    expect(published(world)).toHaveLength(6)
    expect(facts.reduce((sum, fact) => sum + (fact.kind === 'replay_page_published' ? fact.skipped : 0), 0)).toBe(4)
  })

  it('takes pages that fit into memory, however large the records are', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 6 })
    for (const item of world.items) (item as { bytes: number }).bytes = 10 * 1024 * 1024
    const inner = world.portsOf(createVirtualProcess('one', time))
    const sizes: number[] = []
    const records: RedriveWorkerParts['records'] = {
      read(places) {
        sizes.push(places.length)
        return inner.records.read(places)
      },
    }
    aWorker(world, time, 'one', { records })
    await until(time, () => ended(world))
    expect(sizes).toEqual([1, 1, 1, 1, 1, 1])
    expect(published(world)).toHaveLength(6)
  })

  it.each(['pausing', 'cancelling'] as const)('notices %s at the end of a page', async state => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 400, rate: 50 })
    aWorker(world, time, 'one')
    await until(time, () => world.log.length > 120)
    world.state = state
    const askedAtMs = time.nowMs
    await until(time, () => ended(world))
    expect(world.state).toBe(state === 'pausing' ? 'paused' : 'cancelled')
    // The page in hand
    expect(time.nowMs - askedAtMs).toBeLessThan(1_100)
    expect(idsOf(world)).toEqual(published(world))
    expect(world.items.filter(item => item.at === 'pending')).toHaveLength(400 - world.log.length)
  })

  it('hears of it while it waits for a slow turn, or for the broker', async () => {
    const time = createVirtualTime()
    const slow = aRedriveWorld(time, { count: 5, rate: 0.01 })
    aWorker(slow, time, 'one')
    await until(time, () => slow.log.length === 1)
    slow.state = 'pausing'
    const askedAtMs = time.nowMs
    await until(time, () => ended(slow))
    expect(time.nowMs - askedAtMs).toBeLessThan(3_000)

    const stuck = aRedriveWorld(time, { count: 5 })
    stuck.broker = 'away'
    aWorker(stuck, time, 'two')
    await until(time, () => stuck.state === 'running')
    stuck.state = 'cancelling'
    await until(time, () => ended(stuck))
    expect(stuck).toMatchObject({ state: 'cancelled', log: [] })
  })

  it('lets go at the end of a page when its process stops, and another one goes on', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 300, rate: 100 })
    const first = aWorker(world, time, 'one')
    await until(time, () => world.log.length > 120)
    first.stop.abort()
    const askedAtMs = time.nowMs
    await until(time, () => world.state === 'queued')
    expect(time.nowMs - askedAtMs).toBeLessThan(1_100)
    expect(idsOf(world)).toEqual(published(world))
    aWorker(world, time, 'two')
    await until(time, () => ended(world))
    expect(idsOf(world)).toEqual(world.items.map(item => item.id))
  })

  it('goes on after kill -9 where its page stood, sending nothing twice', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 300, rate: 100 })
    const first = aWorker(world, time, 'one')
    await until(time, () => world.log.length === 150)
    first.process.kill()
    aWorker(world, time, 'two')
    await until(time, () => ended(world))
    expect(idsOf(world)).toEqual(world.items.map(item => item.id))
    expect(published(world)).toHaveLength(300)
    expect(new Set(world.log.map(({ epoch }) => epoch))).toEqual(new Set([1, 2]))
  })

  it('stops when it wakes and another one has it', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 300, rate: 100 })
    const first = aWorker(world, time, 'one')
    await until(time, () => world.log.length === 150)
    first.process.freeze()
    aWorker(world, time, 'two')
    await until(time, () => world.log.length > 200)
    first.process.thaw()
    await until(time, () => ended(world))
    expect(idsOf(world).toSorted()).toEqual(world.items.map(item => item.id).toSorted())
    await until(time, () => first.facts.some(fact => fact.kind === 'replay_parted' && fact.to === 'lost'))
  })

  it('sends nothing on a heartbeat whose answer comes late: the lease counts from the question', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 1_000, rate: 10 })
    const other = createVirtualProcess('x', time)
    const { store } = world.portsOf(other)
    const late: typeof store = {
      ...store,
      async beat(redrive) {
        const state = await store.beat(redrive)
        await other.clock.sleep(REDRIVE_SEND_WINDOW_MS + 1_000)
        return state
      },
    }
    aWorker(world, time, 'one', { store: late })
    await until(time, () => time.nowMs > 4 * REDRIVE_SEND_WINDOW_MS)
    expect(world.log.length).toBeGreaterThan(0)
    expect(world.log.at(-1)?.atMs).toBeLessThanOrEqual(REDRIVE_SEND_WINDOW_MS + LOOK_EVERY_MS)
  })

  it('waits while the database is away, and gives a right that is missing back to whoever runs it', async () => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count: 200, rate: 100 })
    const { facts } = aWorker(world, time, 'one')
    await until(time, () => world.log.length > 50)
    world.store = 'away'
    await until(time, () => time.nowMs > 30_000)
    expect(facts.some(fact => fact.kind === 'replay_waiting')).toBe(true)
    world.store = 'up'
    await until(time, () => ended(world))
    expect(world.state).toBe('done')
    expect(idsOf(world).toSorted()).toEqual(world.items.map(item => item.id).toSorted())

    const other = aRedriveWorld(time, { count: 1 })
    const missing = new StoreMisconfiguredError('no right')
    const ports = other.portsOf(createVirtualProcess('x', time))
    const worker = aWorker(other, time, 'two', { store: { ...ports.store, page: () => Promise.reject(missing) } })
    let result: unknown
    void worker.ended.then(error => {
      result = error
    })
    await until(time, () => result !== undefined)
    expect(result).toBe(missing)
    expect(other.state).toBe('running')
  })

  it('fails for good when the topic may not be written, and by our own mistakes without telling data', async () => {
    for (const [error, told] of [
      [new BrokerFatalError('the topic may not be written'), 'the topic may not be written'],
      [new TypeError('cannot read {"name":"Ada"}'), 'unforeseen: TypeError'],
    ] as const) {
      const time = createVirtualTime()
      const world = aRedriveWorld(time, { count: 3 })
      const ports = world.portsOf(createVirtualProcess('x', time))
      aWorker(world, time, 'one', { topic: { ...ports.topic, publish: () => Promise.reject(error) } })
      await until(time, () => ended(world))
      expect(world).toMatchObject({ state: 'failed', error: told })
    }
  })

  it.each(['topic', 'store'] as const)(
    'to the %s: each member once, whatever is killed, frozen or away meanwhile',
    async to => {
      const event = fc.record({
        afterMs: fc.integer({ min: 0, max: 9_000 }),
        what: fc.constantFrom('kill', 'freeze', 'broker away', 'broker mute', 'store away', 'stop'),
        forMs: fc.integer({ min: 100, max: 40_000 }),
      })
      await fc.assert(
        fc.asyncProperty(
          fc.array(event, { maxLength: 6 }),
          fc.constantFrom(undefined, 7, 60, 500),
          fc.array(fc.constantFrom<MemoryItem['fate']>('gone', 'no place', 'not open', UNFIT[to]), { maxLength: 4 }),
          async (events, rate, fates) => {
            const time = createVirtualTime()
            const world = aRedriveWorld(time, {
              ...{ count: 240, to },
              ...(rate === undefined ? {} : { rate }),
              fates: Object.fromEntries(fates.map((fate, n) => [n * 50, fate])),
            })
            let names = 0
            const workers: Worker[] = []
            const startWorker = () => workers.push(aWorker(world, time, `worker-${++names}`))
            startWorker()
            startWorker()
            let atMs = 0
            for (const { afterMs, what, forMs } of events) {
              atMs += afterMs
              time.after(atMs, () => {
                const [worker] = workers
                if (what === 'broker away' || what === 'broker mute') {
                  world.broker = what === 'broker away' ? 'away' : 'mute'
                  time.after(forMs, () => {
                    world.broker = 'up'
                  })
                } else if (what === 'store away') {
                  world.store = 'away'
                  time.after(forMs, () => {
                    world.store = 'up'
                  })
                } else if (worker !== undefined) {
                  workers.shift()
                  if (what === 'freeze') {
                    worker.process.freeze()
                    time.after(forMs, () => worker.process.thaw())
                  } else if (what === 'kill') worker.process.kill()
                  else worker.stop.abort()
                  startWorker()
                }
              })
            }
            await until(time, () => world.state === 'done')
            // Those that were away, or asleep, come back and find that all is done
            const doneAtMs = time.nowMs
            await until(time, () => time.nowMs > doneAtMs + 60_000)
            const through = to === 'topic' ? 'published' : 'resolved'
            const members = world.items.filter(item => item.at === through).map(item => item.id)
            expect(idsOf(world).toSorted()).toEqual(members.toSorted())
            expect(world.items.filter(item => item.at !== through).map(item => item.fate)).toEqual(fates)
          },
        ),
        { numRuns: rounds(60, 400) },
      )
    },
  )
})
