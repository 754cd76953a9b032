import { expect, it } from 'vitest'
import {
  CLUSTER_FAULT_NAMES,
  FAULT_NAMES,
  FAULTS,
  faultKind,
  faultNames,
  POOLER_FAULT_NAMES,
} from '../../support/faults/faults.ts'
import { planFaults } from '../../support/faults/plan.ts'
import { BROKER_COUNTS } from '../../support/faults/world.ts'

const options = { seed: 7, minutes: 5, replicas: 3 }

it('plans the same faults from the same seed, and others from another', () => {
  expect(planFaults(options)).toEqual(planFaults(options))
  expect(planFaults({ ...options, seed: 8 })).not.toEqual(planFaults(options))
})

it.each(BROKER_COUNTS)('deals every kind that there is for %i brokers before it repeats one', brokers => {
  const only = faultNames({ brokers, pooler: false })
  const dealt = planFaults({ ...options, only, minutes: 30 }).flatMap(({ faults }) => faults.map(({ name }) => name))
  const firstDeal = dealt.slice(0, only.length)
  expect([...firstDeal].sort()).toEqual([...only].sort())
})

it('never breaks the same thing twice at a time, and stays within the bounds of each kind', () => {
  const steps = planFaults({ ...options, minutes: 60 })
  expect(steps.some(({ faults }) => faults.length === 2)).toBe(true)
  for (const { faults } of steps) {
    const targets = faults.map(({ name }) => faultKind(name).target)
    expect(new Set(targets).size).toBe(faults.length)
    for (const { name, durationMs, worker } of faults) {
      const [least, most] = faultKind(name).durationMs
      expect(durationMs).toBeGreaterThanOrEqual(least)
      expect(durationMs).toBeLessThanOrEqual(most)
      expect(worker).toBeLessThan(options.replicas)
    }
  }
})

it('ends within its minutes, with at least one fault however short they are', () => {
  expect(planFaults(options).at(-1)?.atMs).toBeLessThan(5 * 60_000)
  expect(planFaults({ ...options, minutes: 0 })).toHaveLength(1)
})

it('knows each fault by its name', () => {
  expect(FAULTS.map(({ name }) => name)).toEqual([...FAULT_NAMES, ...POOLER_FAULT_NAMES, ...CLUSTER_FAULT_NAMES])
})
