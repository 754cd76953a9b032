import { expect, it } from 'vitest'
import { HEADER } from '#src/engine/headers.ts'
import type { RedriveTopic } from '#src/inbox/redrive-work.ts'
import type { RedrivenRecord } from '#src/inbox/redriven-record.ts'
import { aHeader } from '../support/records.ts'

/** The contract of {@link RedriveTopic}, for the real topic and for its stand-in. @param open an empty topic with two partitions */
export function redriveTopicSuite(open: () => Promise<RedriveTopic>): void {
  it('finds what a redrive has published since its marks, and nothing before them', async () => {
    const topic = await open()
    await topic.publish(redriven(0, 'before', 'r1'))
    const marks = await topic.ends([0, 1])
    await topic.publish(redriven(0, 'here', 'r1'))
    await topic.publish(redriven(1, 'there', 'r1'))

    expect(marks).toEqual(
      new Map([
        [0, 1n],
        [1, 0n],
      ]),
    )
    expect(await topic.published('r1', marks)).toEqual(new Set(['here', 'there']))
  })

  it('looks into the partitions of its marks alone', async () => {
    const topic = await open()
    const marks = await topic.ends([1])
    await topic.publish(redriven(0, 'elsewhere', 'r1'))

    expect(await topic.published('r1', marks)).toEqual(new Set())
  })

  it('leaves out what another redrive has published', async () => {
    const topic = await open()
    const marks = await topic.ends([0, 1])
    await topic.publish(redriven(0, 'mine', 'r1'))
    await topic.publish(redriven(0, 'theirs', 'r2'))

    expect(await topic.published('r1', marks)).toEqual(new Set(['mine']))
    expect(await topic.published('r3', marks)).toEqual(new Set())
  })

  it('says that a record was acknowledged', async () => {
    const topic = await open()

    expect(await topic.publish(redriven(1, 'one', 'r1'))).toBe('acknowledged')
  })
}

function redriven(partition: number, id: string, redriveId: string): RedrivenRecord {
  const headers = [aHeader(HEADER.id, id), aHeader(HEADER.redriveId, redriveId)]
  return { partition, key: null, value: Buffer.from('x'), headers }
}
