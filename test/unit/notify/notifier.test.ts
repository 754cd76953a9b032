import { afterEach, describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import type { DueNotice, Notice } from '#src/notify/notice.ts'
import { type NotifyFact, startNotifier } from '#src/notify/notifier.ts'
import type { Outbox } from '#src/notify/postgres/outbox.ts'
import { SendFailed } from '#src/notify/send.ts'

const HOUR_MS = 3_600_000
const NOTICE: Notice = {
  ...{ kind: 'breaker_open', stream: 'orders', subject: 'breaker postgres', since: 300_000 },
  ...{ title: 'Postgres is away', facts: {}, path: '/admin?stream=orders' },
}
const due = (subject: string, attempt = 1): DueNotice => ({ ...NOTICE, subject, id: '1', since: '', attempt })

const running: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one[Symbol.asyncDispose]()
})

/** A notifier whose looks are started by hand. */
function start(given: { own?: Notice[]; observed?: Notice[] } = {}) {
  const world = {
    ...{ own: given.own ?? [], observed: given.observed ?? [], storeAway: false, receiverAway: false },
    ...{ noted: [] as string[], due: [] as DueNotice[], sent: [] as string[], settled: [] as string[] },
    ...{ facts: [] as NotifyFact[], nowMs: 0 },
  }
  const ask = () => {
    if (world.storeAway) throw new StoreUnavailableError('no connection')
  }
  const outbox: Outbox = {
    async note(notices) {
      ask()
      world.noted.push(...notices.map(({ subject }) => subject))
      return 0
    },
    claim: async () => world.due.shift(),
    async noteSent({ subject }) {
      world.settled.push(`${subject} sent`)
    },
    async noteFailed({ subject }, retryMs) {
      world.settled.push(`${subject} ${retryMs === undefined ? 'given up' : `again in ${retryMs}`}`)
    },
  }
  let wake = () => {}
  let asleep = Promise.withResolvers<void>()
  const notifier = startNotifier({
    own: () => world.own,
    async observed() {
      ask()
      return world.observed
    },
    outbox,
    async send({ subject }) {
      if (world.receiverAway) throw new SendFailed('ECONNREFUSED')
      world.sent.push(subject)
    },
    observer: { observe: fact => void world.facts.push(fact) },
    clock: {
      now: () => world.nowMs,
      monotonic: () => world.nowMs,
      sleep: (_ms, signal) =>
        new Promise(resolve => {
          wake = resolve
          signal?.addEventListener('abort', () => resolve())
          asleep.resolve()
        }),
    },
    random: () => 0.5,
  })
  running.push(notifier)
  return {
    world,
    /** Resolves at the end of the first look, or of the next one. */
    looked: () => asleep.promise,
    async again(afterMs: number) {
      await asleep.promise
      world.nowMs += afterMs
      asleep = Promise.withResolvers()
      wake()
      await asleep.promise
    },
  }
}

describe('messages to operators', () => {
  it('are noted first, what this process sees and what the database knows, and sent when they are due', async () => {
    const { world, looked } = start({ own: [NOTICE], observed: [{ ...NOTICE, subject: 'cause c1' }] })
    world.due.push(due('cause c1'), due('breaker postgres'))
    await looked()
    expect(world.noted).toEqual(['breaker postgres', 'cause c1'])
    expect(world.sent).toEqual(['cause c1', 'breaker postgres'])
    expect(world.settled).toEqual(['cause c1 sent', 'breaker postgres sent'])
    expect(world.facts.map(({ kind }) => kind)).toEqual(['notice_sent', 'notice_sent'])
  })

  it('are tried again with a backoff, and the next one is not tried on a receiver that is away', async () => {
    const { world, looked } = start()
    world.receiverAway = true
    world.due.push(due('a', 1), due('b', 1))
    await looked()
    expect(world.settled).toEqual(['a again in 2500'])
    expect(world.due).toHaveLength(1)
    expect(world.facts).toMatchObject([{ kind: 'notice_failed', notice: 'breaker_open', subject: 'a', attempt: 1 }])
  })

  it('are given up after a day of attempts', async () => {
    const { world, looked } = start()
    world.receiverAway = true
    world.due.push(due('a', 500))
    await looked()
    expect(world.settled).toEqual(['a given up'])
    expect(world.facts.map(({ kind }) => kind)).toEqual(['notice_failed', 'notice_dropped'])
  })

  it('of what this process sees go without the database while that is away, once an hour', async () => {
    const { world, looked, again } = start()
    await looked()
    world.storeAway = true
    world.own.push(NOTICE)
    await again(5_000)
    await again(5_000)
    expect(world.sent).toEqual(['breaker postgres'])
    await again(HOUR_MS)
    expect(world.sent).toEqual(['breaker postgres', 'breaker postgres'])
    // Once it is back, the same is not noted as well.
    world.storeAway = false
    await again(5_000)
    expect(world.noted).toEqual([])
    await again(HOUR_MS)
    expect(world.noted).toEqual(['breaker postgres'])
  })

  it('that went without the database are tried again with a backoff as well', async () => {
    const { world, looked, again } = start()
    await looked()
    Object.assign(world, { storeAway: true, receiverAway: true, own: [NOTICE] })
    await again(5_000)
    world.receiverAway = false
    await again(1_000)
    expect(world.sent, 'before its time').toEqual([])
    await again(2_000)
    expect(world.sent).toEqual(['breaker postgres'])
  })
})
