import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, it, onTestFinished } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { watchHeldUp } from '../support/held-up.ts'
import { startKafkaBehindAWire } from '../support/kafka-behind-a-wire.ts'
import { freshTopics } from '../support/stack.ts'

/** Between two questions to a broker that does not answer, and more. */
const LEFT_WITHIN_MS = 15_000

/** Joins and takes its partition; at the first line it commits and closes, and ends as the service does. */
const MEMBER = `
  import { once } from 'node:events'
  import { createConsumer } from '${import.meta.resolve('#src/engine/kafka/consumer.ts')}'
  const [brokers, topic, groupId] = process.argv.slice(1)
  const source = createConsumer({ connection: { brokers: [brokers], security: {}, extra: {} }, topic, groupId, onWarning() {} })
  await source.start()
  for (let event; event?.kind !== 'assigned' || event.partitions.length === 0; ) {
    await source.poll(1, 100)
    event = source.nextEvent()
    if (event?.kind === 'assigned') source.assign([{ topic, partition: 0, nextOffset: 0n }])
  }
  console.log('joined')
  await once(process.stdin, 'data')
  void source.commit([{ topic, partition: 0, nextOffset: 1n }])
  await source.close()
  console.log('closed')
  process.exit(0)`

it.each([
  ['reaches no broker', 'reset'],
  ['is not answered by the coordinator, while the broker answers other questions', 'silent-coordinator'],
] as const)(
  'a consumer whose last commit %s closes all the same, and its process ends',
  async (_, kind) => {
    // Given a member of a group that reaches its broker over a wire
    const { kafka, wire, wiredBrokers, ...behind } = await startKafkaBehindAWire()
    onTestFinished(() => behind[Symbol.asyncDispose]())
    const names = freshTopics('unsent-commit')
    const connection = { brokers: [kafka.brokers], security: {}, extra: {} }
    await using producer = await startProducer({ connection })
    await ensureTopics(connection, producer, { ...names, partitions: 1, replication: 1 })
    const member = spawn(
      process.execPath,
      ['--input-type=module', '--eval', MEMBER, wiredBrokers, names.topic, names.groupId],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    onTestFinished(() => void member.kill('SIGKILL'))
    const lines = createInterface({ input: member.stdout })
    expect(await nextLine(lines, member)).toBe('joined')

    // When its connections are cut, and it commits and closes
    await wire.set({ kind })
    const heldUpMs = watchHeldUp()
    const closingAt = performance.now()
    member.stdin.end('close\n')

    // Then it does not wait for an answer
    expect(await nextLine(lines, member)).toBe('closed')
    expect(member.exitCode ?? (await once(member, 'exit'))[0]).toBe(0)
    expect(performance.now() - closingAt).toBeLessThan(LEFT_WITHIN_MS + heldUpMs())
  },
  180_000,
)

async function nextLine(lines: ReturnType<typeof createInterface>, member: ChildProcess): Promise<unknown> {
  // Behind its last line, which the exit may overtake.
  const ended = once(member, 'close').then(([code]) => `ended with ${code}`)
  return await Promise.race([once(lines, 'line').then(([line]) => line), ended])
}
