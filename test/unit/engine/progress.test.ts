import { expect, it } from 'vitest'
import { resumeAt } from '#src/engine/progress.ts'

const watermarks = { low: 10n, high: 50n }
const startAt = 'earliest'

it('resumes at the progress row, whatever was committed in Kafka and wherever a new one would start', () => {
  for (const startAt of ['earliest', 'committed', 'latest'] as const) {
    expect(resumeAt({ progress: 20n, committed: 45n, watermarks, startAt })).toEqual({ kind: 'at', offset: 20n })
  }
})

it('starts at the earliest record when there is no progress row, although the group has committed an offset', () => {
  expect(resumeAt({ progress: undefined, committed: 30n, watermarks, startAt })).toEqual({ kind: 'at', offset: 10n })
  expect(resumeAt({ progress: undefined, committed: undefined, watermarks, startAt })).toMatchObject({ offset: 10n })
  expect(resumeAt({ progress: undefined, committed: 51n, watermarks, startAt })).toMatchObject({ offset: 10n })
})

it('starts where a group that is taken over has committed, if told so, and says what that passes over', () => {
  const startAt = 'committed'
  const from = (committed: bigint | undefined) => resumeAt({ progress: undefined, committed, watermarks, startAt })
  expect(from(30n)).toEqual({ kind: 'at', offset: 30n, skippedFrom: 10n })
  expect(from(10n)).toEqual({ kind: 'at', offset: 10n })
  expect(from(undefined)).toEqual({ kind: 'at', offset: 10n })
  expect(from(4n)).toEqual({ kind: 'expired', from: 4n, to: 10n })
  expect(from(51n)).toEqual({ kind: 'beyond_end', offset: 51n, high: 50n })
})

it('starts at the end, if told so, and says what that passes over', () => {
  const at = { progress: undefined, committed: 30n, startAt: 'latest' } as const
  expect(resumeAt({ ...at, watermarks })).toEqual({ kind: 'at', offset: 50n, skippedFrom: 10n })
  expect(resumeAt({ ...at, watermarks: { low: 50n, high: 50n } })).toEqual({ kind: 'at', offset: 50n })
})

it('accepts the very end and the very beginning', () => {
  expect(resumeAt({ progress: 50n, committed: undefined, watermarks, startAt })).toEqual({ kind: 'at', offset: 50n })
  expect(resumeAt({ progress: 10n, committed: undefined, watermarks, startAt })).toEqual({ kind: 'at', offset: 10n })
})

it('says what retention removed unread', () => {
  expect(resumeAt({ progress: 4n, committed: undefined, watermarks, startAt })).toEqual({
    kind: 'expired',
    from: 4n,
    to: 10n,
  })
})

it('does not guess when the topic is shorter than our progress', () => {
  expect(resumeAt({ progress: 51n, committed: undefined, watermarks, startAt })).toEqual({
    kind: 'beyond_end',
    offset: 51n,
    high: 50n,
  })
})
