import type { SourceRecord } from '#src/engine/record.ts'

/** Where Kafka keeps what groups commit. */
export const COMMIT_LOG = '__consumer_offsets'

export interface Commit {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/**
 * A commit out of Kafka's own log of them (OffsetCommitKey 0 and 1, OffsetCommitValue of any version, in the sources of Apache Kafka); undefined
 * for what else that log holds: members of groups, and commits that were removed.
 */
export function readCommit({ key, value }: Pick<SourceRecord, 'key' | 'value'>): Commit | undefined {
  if (key === null || value === null || key.readInt16BE(0) > 1) return undefined
  let at = 2
  const text = () => {
    const length = key.readInt16BE(at)
    at += 2 + length
    return key.toString('utf8', at - length, at)
  }
  return { group: text(), topic: text(), partition: key.readInt32BE(at), offset: value.readBigInt64BE(2) }
}

/**
 * Holds each commit against the one before it. What a broker answers is no basis: while it reads this log after a start, it answers with commits of
 * the past for a moment.
 * @returns how many commits there were, and a sentence for each that goes back
 */
export async function commitsThatGoBack(
  log: AsyncIterable<SourceRecord>,
  { groupId, topic }: { readonly groupId: string; readonly topic: string },
): Promise<{ readonly commits: number; readonly backwards: string[] }> {
  const last = new Map<number, bigint>()
  const backwards: string[] = []
  let commits = 0
  for await (const record of log) {
    const commit = readCommit(record)
    if (commit?.group !== groupId || commit.topic !== topic) continue
    const { partition, offset } = commit
    const before = last.get(partition) ?? 0n
    if (offset < before)
      backwards.push(`partition ${partition}: the committed offset of ${topic} went back from ${before} to ${offset}`)
    last.set(partition, offset)
    commits++
  }
  return { commits, backwards }
}
