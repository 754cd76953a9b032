import { BrokerUnavailableError } from '../../core/errors.ts'
import type { Clock } from '../ports.ts'

/** What one question came to. */
export type Answer<R> = { readonly ok: true; readonly value: R } | { readonly ok: false; readonly error: unknown }

/**
 * Each question holds a thread of the process until it is answered, for seconds where a broker is silent, and polls need
 * threads as well.
 */
const AT_ONCE = 2
/** After so long without any answer, what is not answered counts as unknown. */
const PATIENCE_MS = 1_500

/**
 * Asks one question about each, a few at a time, and waits for no silent one while nothing else comes in either: so one that
 * nobody answers does not hold up the others.
 * @returns in the order of `subjects`; never rejects
 */
export async function askEach<S, R>(
  subjects: readonly S[],
  clock: Pick<Clock, 'sleep'>,
  ask: (subject: S) => Promise<R>,
): Promise<Answer<R>[]> {
  const unanswered = { ok: false, error: new BrokerUnavailableError('Kafka has not answered yet') } as const
  const answers: Answer<R>[] = subjects.map(() => unanswered)
  const waiting = subjects.entries()
  let answered = 0
  let over = false

  async function work(): Promise<void> {
    for (let next = waiting.next(); next.done !== true && !over; next = waiting.next()) {
      const [index, subject] = next.value
      const answer = await ask(subject).then(
        (value): Answer<R> => ({ ok: true, value }),
        (error: unknown): Answer<R> => ({ ok: false, error }),
      )
      answered += 1
      if (!over) answers[index] = answer
    }
  }

  const finished = new AbortController()
  const working = Promise.all(Array.from({ length: AT_ONCE }, work)).then(() => finished.abort())
  for (let before = -1; before !== answered && !finished.signal.aborted; ) {
    before = answered
    await Promise.race([working, clock.sleep(PATIENCE_MS, finished.signal)])
  }
  over = true
  return answers
}
