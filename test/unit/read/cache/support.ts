import type { StoredValue } from '#src/engine/value-sql.ts'
import type { ValueReader } from '#src/read/ports.ts'

/** The version of an order that the record at this offset wrote. */
export function version(uid: string, offset: bigint, json = `${uid}@${offset}`): StoredValue {
  return {
    key: uid,
    json: Buffer.from(json),
    origin: { topic: 'orders', partition: 0, offset, timestampMs: Number(offset) },
  }
}

/** A clock that stands still until it is told. Who sleeps on it wakes when it has been moved far enough. */
export function manualClock() {
  let nowMs = 0
  const sleepers = new Set<{ readonly untilMs: number; readonly wake: () => void }>()
  return {
    monotonic: () => nowMs,
    sleep(ms: number, signal?: AbortSignal) {
      return new Promise<void>(resolve => {
        const sleeper = { untilMs: nowMs + ms, wake: resolve }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper)
          resolve()
        })
      })
    },
    advance(ms: number) {
      nowMs += ms
      for (const sleeper of sleepers) {
        if (sleeper.untilMs > nowMs) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
    },
  }
}

/** A store whose answers are held back until the test gives them, one for each question, in the order of asking. */
export function handHeldReader() {
  const waiting = new Map<string, PromiseWithResolvers<StoredValue | undefined>[]>()
  const asked: string[] = []
  let pages: AsyncIterable<StoredValue> = emptyPages()
  function next(uid: string) {
    const question = waiting.get(uid)?.shift()
    if (question === undefined) throw new Error(`nobody asked for ${uid}`)
    return question
  }
  const reader: ValueReader = {
    read(uid) {
      asked.push(uid)
      const question = Promise.withResolvers<StoredValue | undefined>()
      waiting.set(uid, [...(waiting.get(uid) ?? []), question])
      return question.promise
    },
    newest: () => pages,
  }
  return {
    ...reader,
    /** Uids that were asked for, in order. */
    asked,
    answer: (uid: string, value: StoredValue | undefined) => next(uid).resolve(value),
    fail: (uid: string, error: Error) => next(uid).reject(error),
    holdsNewest: (values: AsyncIterable<StoredValue>) => {
      pages = values
    },
  }
}

async function* emptyPages(): AsyncGenerator<StoredValue> {}
