import { beforeAll, describe, expect, it } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

let stream: Stream
beforeAll(async () => {
  stream = await aStream({ partitions: 1 })
})

/** What a command said on stderr, and its exit code. */
async function outcome(...args: readonly string[]): Promise<readonly [unknown, string]> {
  const nowhere = { ...stream, topic: `${stream.topic}-nowhere`, dlqTopic: `${stream.topic}-nowhere.dlq` }
  const failure = (await holdfast(nowhere, ...args).catch((error: unknown) => error)) as {
    readonly code?: unknown
    readonly stderr: string
  }
  return [failure.code, failure.stderr]
}

describe('a topic that is not there', () => {
  it.each<[readonly string[], number, string]>([
    [['lag'], 1, ''],
    [['lag', '--json'], 1, ''],
    [['seek', '--partition', '0', '--to', 'earliest', '--because', 'x'], 2, ''],
    [['dlq', 'reindex'], 1, '.dlq'],
  ])('is told by %j, and is not taken for an empty one', async (args, exitCode, suffix) => {
    const [code, stderr] = await outcome(...args)
    expect(stderr).toContain(`error: there is no topic ${stream.topic}-nowhere${suffix}`)
    expect(code).toBe(exitCode)
  })
})

describe('a partition that was moved back', () => {
  it('is said to be so by the proof, which holds all the same', async () => {
    await holdfast(stream, 'seek', '--partition', '0', '--to', 'latest', '--because', 'a beginning')
    await stream.produce([{ key: Buffer.from('k'), value: Buffer.from('not an order') }])
    await holdfast(stream, 'seek', '--partition', '0', '--to', 'latest', '--because', 'to skip it')
    await holdfast(stream, 'seek', '--partition', '0', '--to', 'earliest', '--because', 'to read it after all')
    const { stderr } = await holdfast(stream, 'verify')
    expect(stderr).toContain('partition 0: skipped [0, 1)\n')
    expect(stderr).toContain('partition 0: moved back from 1 to 0\n')
  })
})
