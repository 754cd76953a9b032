import { afterAll, beforeAll, expect, it } from 'vitest'
import { type KafkaCluster, type Role, startKafkaCluster } from '../support/kafka-cluster.ts'
import { eventually, startService } from '../support/service.ts'
import { type FreshTopics, freshTopics } from '../support/stack.ts'
import { aStream, streamTools } from '../support/stream.ts'
import { inWords, startUnderLoad } from '../support/under-load.ts'

streamTools()

let cluster: KafkaCluster
beforeAll(async () => {
  cluster = await startKafkaCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

const PARTITIONS = 6
/** Kafka's own session of a broker is 9 s, a member's is 10 s; the rest is for those who take over. */
const BOUND_MS = 60_000

it.each<[Role, number]>([
  ['leader', 71],
  ['coordinator', 72],
  ['controller', 73],
])('%s killed, and frozen: the stream goes on without it, and nothing is lost or done twice', async (role, seed) => {
  // Given two processes at work on a topic whose records are on three brokers
  const stream = await aStream({
    brokers: cluster.brokers,
    partitions: PARTITIONS,
    replication: 3,
    names: await namesApart(),
  })
  const topics = [stream.topic, stream.dlqTopic, '__consumer_offsets']
  const services = [await startService(stream), await startService(stream)]
  const flow = await startUnderLoad(stream, services, { seed, partitions: PARTITIONS })

  // When that broker is killed, then every partition moves again before it is back
  const killed = await cluster.idOf(role, stream)
  const afterKill = await flow.whileMoving(() => cluster.kill(killed))
  console.info(`${role} killed: ${inWords(afterKill)}`)
  const afterRestart = await flow.whileMoving(async () => {
    await cluster.restart(killed)
    await cluster.whole(...topics)
  })
  console.info(`${role} back: ${inWords(afterRestart)}`)

  // And so it is when it is frozen, and when it wakes
  const frozen = await cluster.idOf(role, stream)
  const afterFreeze = await flow.whileMoving(() => cluster.freeze(frozen))
  console.info(`${role} frozen: ${inWords(afterFreeze)}`)
  const afterThaw = await flow.whileMoving(async () => {
    cluster.thaw(frozen)
    await cluster.whole(...topics)
  })
  console.info(`${role} awake: ${inWords(afterThaw)}`)

  await flow.endsWhole()
  for (const { longestMs } of [afterKill, afterRestart, afterFreeze, afterThaw])
    expect(longestMs).toBeLessThan(BOUND_MS)
})

/** Names of a group that another broker coordinates than the one that controls the cluster. */
async function namesApart(): Promise<FreshTopics> {
  return await eventually(async () => {
    const names = freshTopics()
    const coordinator = await cluster.idOf('coordinator', names)
    return coordinator !== -1 && coordinator !== (await cluster.idOf('controller', names)) && names
  }, 'a group with a coordinator of its own')
}
