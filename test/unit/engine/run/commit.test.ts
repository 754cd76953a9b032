import { beforeEach, expect, it } from 'vitest'
import type { CommitResult, Progress } from '#src/engine/ports.ts'
import { type Committer, createCommitter } from '#src/engine/run/commit.ts'
import { createMemorySource } from '../../../support/memory-source.ts'

let sent: { readonly positions: readonly Progress[]; answer(result: CommitResult): Promise<void> }[]
let nowMs: number
let committer: Committer
const at = (partition: number, nextOffset: bigint) => ({ topic: 'orders', partition, nextOffset })

beforeEach(() => {
  sent = []
  nowMs = 1_000
  const source = {
    ...createMemorySource(),
    commit(positions: readonly Progress[]) {
      const { promise, resolve } = Promise.withResolvers<CommitResult>()
      const answer = async (result: CommitResult) => {
        resolve(result)
        await promise
        await Promise.resolve()
      }
      sent.push({ positions, answer })
      return promise
    },
  }
  const clock = { now: () => nowMs, monotonic: () => nowMs, sleep: async () => {} }
  committer = createCommitter(source, { observe() {} }, clock)
})

it('sends what is settled at once, though the loop waits in a poll, and then what came meanwhile', async () => {
  committer.offer(at(0, 1n))
  expect(sent.map(({ positions }) => positions)).toEqual([[at(0, 1n)]])
  committer.offer(at(0, 2n))
  committer.offer(at(1, 7n))
  committer.offer(at(0, 3n))
  expect(sent).toHaveLength(1)
  await sent[0]?.answer({ ok: true })
  expect(sent[1]?.positions).toEqual([at(0, 3n), at(1, 7n)])
  await sent[1]?.answer({ ok: true })
  expect(sent).toHaveLength(2)
})

it('repeats what was refused after a pause, with the newest progress', async () => {
  committer.offer(at(0, 1n))
  await sent[0]?.answer({ ok: false, code: 27, message: 'rebalance in progress' })
  committer.tick()
  committer.offer(at(0, 2n))
  expect(sent).toHaveLength(1)
  nowMs += 250
  committer.tick()
  expect(sent[1]?.positions).toEqual([at(0, 2n)])
})

it('never sends a partition again that was taken away while its commit was under way', async () => {
  committer.offer(at(0, 1n))
  committer.offer(at(0, 2n))
  committer.forget([at(0, 0n)])
  await sent[0]?.answer({ ok: false, code: 22, message: 'illegal generation' })
  nowMs += 250
  committer.tick()
  expect(sent).toHaveLength(1)
})
