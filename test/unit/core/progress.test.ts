import { expect, it } from 'vitest'
import { resumeAt } from '#src/core/progress.ts'

const watermarks = { low: 10n, high: 50n }

it('resumes at the progress row, whatever somebody committed in Kafka', () => {
  expect(resumeAt({ progress: 20n, committed: 45n, watermarks })).toEqual({ kind: 'at', offset: 20n })
})

it('resumes at the committed offset when there is no progress row, else at the earliest record', () => {
  expect(resumeAt({ progress: undefined, committed: 30n, watermarks })).toEqual({ kind: 'at', offset: 30n })
  expect(resumeAt({ progress: undefined, committed: undefined, watermarks })).toEqual({ kind: 'at', offset: 10n })
})

it('accepts the very end and the very beginning', () => {
  expect(resumeAt({ progress: 50n, committed: undefined, watermarks })).toEqual({ kind: 'at', offset: 50n })
  expect(resumeAt({ progress: 10n, committed: undefined, watermarks })).toEqual({ kind: 'at', offset: 10n })
})

it('says what retention removed unread', () => {
  expect(resumeAt({ progress: 4n, committed: undefined, watermarks })).toEqual({ kind: 'expired', from: 4n, to: 10n })
})

it('does not guess when the topic is shorter than our progress', () => {
  expect(resumeAt({ progress: 51n, committed: undefined, watermarks })).toEqual({
    kind: 'beyond_end',
    offset: 51n,
    high: 50n,
  })
})
