import { expect, it } from 'vitest'
import { commitsThatGoBack, readCommit } from '../../chaos/commit-log.ts'

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function commit(group: string, partition: number, offset: bigint) {
  const [version, number, value] = [Buffer.from([0, 1]), Buffer.alloc(4), Buffer.alloc(24)]
  number.writeInt32BE(partition)
  value.writeInt16BE(3, 0)
  value.writeBigInt64BE(offset, 2)
  return { key: Buffer.concat([version, text(group), text('orders'), number]), value }
}

async function* logOf(...records: { key: Buffer; value: Buffer | null }[]) {
  for (const record of records) yield record as never
}

it('reads a commit as Kafka stores it, and neither members of a group nor what was removed', () => {
  expect(readCommit(commit('holdfast', 3, 55_004n))).toEqual({
    group: 'holdfast',
    topic: 'orders',
    partition: 3,
    offset: 55_004n,
  })
  expect(
    readCommit({ key: Buffer.concat([Buffer.from([0, 2]), text('holdfast')]), value: Buffer.alloc(24) }),
  ).toBeUndefined()
  expect(readCommit({ ...commit('holdfast', 3, 1n), value: null })).toBeUndefined()
})

it('names each commit of the group that goes back, and looks at no other group', async () => {
  const log = logOf(
    commit('holdfast', 0, 10n),
    commit('holdfast', 1, 5n),
    commit('another', 0, 3n),
    commit('holdfast', 0, 9n),
    commit('holdfast', 0, 9n),
    commit('holdfast', 0, 12n),
  )
  expect(await commitsThatGoBack(log, { groupId: 'holdfast', topic: 'orders' })).toEqual({
    commits: 5,
    backwards: ['partition 0: the committed offset of orders went back from 10 to 9'],
  })
})
