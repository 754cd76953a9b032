import { expect, it } from 'vitest'
import { runChaos } from '../chaos/chaos.ts'
import { FAULT_NAMES } from '../support/faults/faults.ts'

/**
 * The short, fixed form of `make chaos`, with two streams in each process. This seed deals: a worker frozen until its
 * partitions are taken over, and woken as a zombie; replies to COMMIT lost while the other worker leaves; a read-only store in a black hole of the broker; sessions
 * ended while a worker is killed; a table that is locked; resets; a broker that restarts; a store that is killed, and one that
 * crashes while the broker takes requests and answers none.
 */
const SEED = 2729

it('loses, repeats and overwrites nothing under two minutes of faults from a fixed seed', async () => {
  // Given two replicas under load, on servers of their own; when the faults of the seed hit them
  const lines: string[] = []
  const result = await runChaos({
    seed: SEED,
    minutes: 2,
    replicas: 2,
    brokers: 1,
    rate: 100,
    // Their recovery takes longer, and has tests of its own: test/contract/consumer-finds-its-broker-again.test.ts,
    // test/scenarios/two-streams-in-one-process.test.ts
    only: FAULT_NAMES.filter(name => name !== 'broker-amnesia' && name !== 'store-column-dropped'),
    say: line => lines.push(line),
  }).catch(error => {
    throw new Error(`the run broke off:\n${lines.join('\n')}`, { cause: error })
  })

  // Then every invariant holds
  expect(result.violations, lines.join('\n')).toEqual([])
  const [orders, returns] = ['orders', 'returns'].map(name => result.outcomes.get(name))
  for (const outcome of [orders, returns])
    expect(outcome).toMatchObject({ lost: 0, doubleEffects: 0, staleOverwrites: 0 })
  // And they were held against something
  expect([...result.faults.keys()].sort()).toEqual([
    'broker-black-hole',
    'broker-mute',
    'broker-reset',
    'broker-restart',
    'store-crash',
    'store-kill',
    'store-lost-commit-reply',
    'store-read-only',
    'store-reset',
    'store-table-lock',
    'store-terminate',
    'worker-freeze',
    'worker-kill',
    'worker-term',
    'worker-term-twice',
  ])
  expect(orders?.records).toBeGreaterThan(6_000)
  expect(orders?.deadLetters).toBeGreaterThan(100)
  expect(returns?.records).toBeGreaterThan(1_500)
  expect(returns?.deadLetters).toBeGreaterThan(20)
  // No stream halts under these faults: readiness is asked once.
  for (const [invariant, checks] of result.checks)
    expect(checks, invariant).toBeGreaterThan(invariant === 'I13' ? 1 : 50)
})
