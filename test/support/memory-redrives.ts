import type { Violation } from '#src/engine/dead-letter.ts'
import { UsageError } from '#src/engine/errors.ts'
import type { Operator } from '#src/engine/operator.ts'
import { namesState, printFilter } from '#src/inbox/filter.ts'
import {
  LETTER_MOVES,
  type LeftOutReason,
  nextState,
  type RedriveStep,
  redrivesWhere,
  type StoredLetterState,
} from '#src/inbox/letter-states.ts'
import { allPass, type RedriveCheck, summarize } from '#src/inbox/redrive-check.ts'
import { guardRules, verdictOf } from '#src/inbox/redrive-guard.ts'
import { HOLDING, heldBy } from '#src/inbox/redrive-held.ts'
import {
  givenLimits,
  NothingToRedriveError,
  type Redrive,
  type RedrivePreview,
  type RedriveRequest,
  RedriveRunningError,
  type Redrives,
  type ResumeLimits,
} from '#src/inbox/redrive-ports.ts'
import type { MemoryLetters, MutableLetter } from './memory-letters.ts'

/**
 * Redrives in memory, as operators start and steer them: `test/contract/redrives.suite.ts` holds them to what the real ones promise.
 * No worker takes them: a step takes effect at once.
 */
export interface MemoryRedrives {
  readonly port: Redrives
  readonly running: Map<string, Redrive>
  /** Ids of the frozen set, in the order of publishing. */
  membersOf(id: string): readonly string[]
}

export interface RedriveParts {
  readonly letters: MemoryLetters
  /** Whether a letter would pass now; `undefined`: its bytes are gone. */
  readonly passes: (id: string) => boolean | undefined
  /** Of those that would not. */
  readonly violations?: (id: string) => readonly Violation[]
  /** That letters may have come from; absent: any. */
  readonly topics?: readonly string[]
}

export function createMemoryRedrives({ letters, passes, violations = () => [], topics }: RedriveParts): MemoryRedrives {
  const running = new Map<string, Redrive>()
  const sets = new Map<string, readonly string[]>()
  const underWay = redrivesWhere(state => state.underWay)

  function select(request: RedriveRequest): { members: MutableLetter[]; preview: RedrivePreview } {
    const members: MutableLetter[] = []
    const leftOut: Partial<Record<LeftOutReason, number>> = {}
    for (const row of letters.matching(request.filter).sort(oldestFirst)) {
      const why = whyNot(row)
      if (why === undefined) members.push(row)
      else leftOut[why] = (leftOut[why] ?? 0) + 1
    }
    const check = checkOf(request, members)
    return {
      members: members.sort(byPlace),
      preview: { ...summaryOf(members), left_out: leftOut, held_by: held(request), check },
    }

    function whyNot(row: MutableLetter): LeftOutReason | undefined {
      const takes: readonly StoredLetterState[] = LETTER_MOVES.redrive.from.filter(
        state => state === 'open' || namesState(request.filter, state),
      )
      if (!takes.includes(row.state)) return 'not_open'
      if (topics !== undefined && !topics.includes(row.source_topic)) return 'other_topic'
      if (row.dlq_partition === null || row.dlq_offset === null) return 'place_unknown'
      if (members.length >= (request.limit ?? Number.POSITIVE_INFINITY)) return 'over_limit'
      if (!request.onlyPassing) return undefined
      const verdict = passes(row.id)
      if (verdict === undefined) return 'bytes_gone'
      return verdict ? undefined : 'not_passing'
    }
  }

  function held({ filter }: RedriveRequest): RedrivePreview['held_by'] {
    const taken = new Set(letters.matching(filter).map(({ id }) => id))
    return [...running.values()].flatMap(({ id, state }) => {
      const count = HOLDING.includes(state) ? (sets.get(id) ?? []).filter(member => taken.has(member)).length : 0
      return count === 0 ? [] : [heldBy(id, state, count)]
    })
  }

  function checkOf(request: RedriveRequest, members: readonly MutableLetter[]): RedriveCheck | null {
    if (members.length === 0 || request.edited !== undefined) return null
    if (request.onlyPassing) return allPass(members.length)
    const results = members.map(({ id }) => ({ passes: passes(id), violations: violations(id) }))
    return summarize(results, members.length)
  }

  function refuseSecond(): void {
    const busy = [...running.values()].find(({ state }) => underWay.includes(state))
    if (busy !== undefined) throw new RedriveRunningError(busy)
  }

  async function start(request: RedriveRequest, by: Operator): Promise<Redrive> {
    refuseSecond()
    const { members, preview } = select(request)
    const total = members.length
    if (total === 0) throw new NothingToRedriveError(preview)
    if (request.edited !== undefined && total !== 1) {
      throw new UsageError(
        `an edited value replaces one dead letter, and the filter takes ${total}: name it, as in id:...`,
      )
    }
    const id = `r${String(running.size + 1).padStart(10, '0')}`
    const { canary, maxFailures, yieldAboveSeconds } = guardRules(request.guard, total)
    const redrive: Redrive = {
      ...{ id, state: 'queued', filter: printFilter(request.filter), to: request.to },
      ...{ requested_by: by.who, because: by.because },
      ...{ automatic: request.automatic, only_passing: request.onlyPassing, edited: request.edited !== undefined },
      ...{ rate: request.rate ?? null, total, pending: total, published: 0, resolved: 0, failed_again: 0, parked: 0 },
      ...{ canary, max_failures: maxFailures, yield_above: yieldAboveSeconds, paused_because: null, waiting_for: null },
      ...{
        ...{ skipped: 0, released: 0, verdict: null },
        skipped_because: {},
        created_at: letters.at(),
        started_at: null,
        finished_at: null,
        error: null,
      },
    }
    running.set(id, redrive)
    sets.set(
      id,
      members.map(member => member.id),
    )
    letters.note('replay', redrive.filter, by, { replay: id, letters: total })
    return redrive
  }

  async function steer(id: string, by: Operator, step: RedriveStep, limits: ResumeLimits = {}): Promise<Redrive> {
    const given = givenLimits(limits)
    const redrive = running.get(id)
    if (redrive === undefined) throw new UsageError(`there is no redrive ${JSON.stringify(id)}`)
    const state = nextState(redrive.state, step, false)
    if (state === undefined)
      throw new UsageError(`the redrive ${id} is ${redrive.state}: it cannot be asked to ${step}`)
    if (state === redrive.state && Object.keys(given).length === 0) return redrive
    if (underWay.includes(state) && !underWay.includes(redrive.state)) refuseSecond()
    const resumed = step === 'resume' ? { paused_because: null } : {}
    const next: Redrive = {
      ...redrive,
      ...resumed,
      ...given,
      state,
      ...(state === 'cancelled' ? cancelled(redrive) : {}),
    }
    running.set(id, next)
    letters.note(`replay_${step}`, redrive.filter, by, { replay: id, ...given })
    return next
  }

  function cancelled(redrive: Redrive): Partial<Redrive> {
    const verdict = verdictOf({ ...redrive, isOver: true })
    return { pending: 0, released: redrive.pending, verdict, finished_at: letters.at() }
  }

  return {
    running,
    membersOf: id => sets.get(id) ?? [],
    port: {
      preview: async request => select(request).preview,
      start,
      get: async id => running.get(id),
      list: async limit => [...running.values()].toReversed().slice(0, limit),
      pause: (id, by) => steer(id, by, 'pause'),
      resume: (id, by, limits) => steer(id, by, 'resume', limits),
      cancel: (id, by) => steer(id, by, 'cancel'),
    },
  }
}

function summaryOf(members: readonly MutableLetter[]): Omit<RedrivePreview, 'left_out' | 'held_by' | 'check'> {
  const reasons = [...Map.groupBy(members, ({ reason }) => reason)].map(([reason, { length }]) => [reason, length])
  const times = members.map(({ failed_at }) => failed_at).sort()
  const span = { oldest: times[0] ?? null, newest: times.at(-1) ?? null }
  return { count: members.length, by_reason: Object.fromEntries(reasons), ...span }
}

function oldestFirst(a: MutableLetter, b: MutableLetter): number {
  return a.failed_at < b.failed_at || (a.failed_at === b.failed_at && a.id < b.id) ? -1 : 1
}

/** By partition and offset, so that the order of a key is kept. */
function byPlace(a: MutableLetter, b: MutableLetter): number {
  return a.source_partition - b.source_partition || Number(BigInt(a.source_offset) - BigInt(b.source_offset))
}
