import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createPacedSender } from '../../../bench/paced.ts'

it('gives each record the time at which it was due, however late it is sent', async () => {
  const { sender, sent } = createSender()
  const sending = sender.send(100, 0.5)
  await sleep(0)
  const until = Date.now() + 400
  while (Date.now() < until) {
    // Nothing else runs meanwhile, as when the sender's process is held up.
  }
  const { fromMs, toMs, counted } = await sending
  const gaps = sent.slice(1).map(({ timestampMs }, i) => timestampMs - (sent[i]?.timestampMs ?? 0))
  expect(gaps).toEqual(Array.from({ length: 49 }, () => 10))
  expect(sent.filter(({ timestampMs }) => timestampMs >= fromMs && timestampMs < toMs)).toHaveLength(counted)
  expect(counted).toBe(30)
})

it('knows where the partitions end, and sends no record twice', async () => {
  const { sender, sent } = createSender()
  await sender.sendAtOnce(25)
  await sender.send(1_000, 0.025)
  expect(new Set(sent.map(({ key }) => key)).size).toBe(50)
  expect(sender.ends).toEqual([25n, 25n])
  expect(sender.sent().orders).toBe(50)
})

/** Its topic has two partitions, which take turns. */
function createSender() {
  const sent: { readonly key: string; readonly timestampMs: number }[] = []
  const sender = createPacedSender({
    producer: {
      async produce({ key, timestampMs = 0 }) {
        sent.push({ key: String(key), timestampMs })
        const number = sent.length - 1
        return { partition: number % 2, offset: BigInt(Math.floor(number / 2)) }
      },
    },
    ...{ topic: 'orders', partitions: 2, seed: 1, settlingSeconds: 0.2 },
  })
  return { sender, sent }
}
