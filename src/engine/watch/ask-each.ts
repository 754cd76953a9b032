import { BrokerUnavailableError } from '../errors.ts'
import type { Clock } from '../ports.ts'

/** What one question came to. */
export type Answer<R> = { readonly ok: true; readonly value: R } | { readonly ok: false; readonly error: unknown }

/**
 * Each question to a broker holds a thread of the process until it is answered, for seconds while the broker is silent, and polls need
 * threads as well: with one question for each partition they waited behind a queue that grew for as long as the outage.
 */
const AT_ONCE = 2
/** After so long without any answer, what is not answered counts as unknown. */
const PATIENCE_MS = 1_500

/** Asks about each, a few at a time. @param isOver whether no further one is to be begun */
export async function eachOf<S>(
  subjects: Iterable<S>,
  ask: (subject: S) => Promise<void>,
  isOver: () => boolean = () => false,
): Promise<void> {
  const waiting = subjects[Symbol.iterator]()
  async function work(): Promise<void> {
    for (let next = waiting.next(); next.done !== true && !isOver(); next = waiting.next()) await ask(next.value)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

/**
 * Asks one question about each, a few at a time, and waits for no silent one while nothing else comes in either: so one that
 * is never answered does not hold up the others.
 * @returns in the order of `subjects`; never rejects
 */
export async function askEach<S, R>(
  subjects: readonly S[],
  clock: Pick<Clock, 'sleep'>,
  ask: (subject: S) => Promise<R>,
): Promise<Answer<R>[]> {
  const unanswered = { ok: false, error: new BrokerUnavailableError('Kafka has not answered yet') } as const
  const answers: Answer<R>[] = subjects.map(() => unanswered)
  let answered = 0
  let over = false

  async function askOne([index, subject]: [number, S]): Promise<void> {
    const answer = await ask(subject).then(
      (value): Answer<R> => ({ ok: true, value }),
      (error: unknown): Answer<R> => ({ ok: false, error }),
    )
    answered += 1
    if (!over) answers[index] = answer
  }

  const finished = new AbortController()
  const working = eachOf(subjects.entries(), askOne, () => over).then(() => finished.abort())
  for (let before = -1; before !== answered && !finished.signal.aborted; ) {
    before = answered
    await Promise.race([working, clock.sleep(PATIENCE_MS, finished.signal)])
  }
  over = true
  return answers
}
