import { expect, it } from 'vitest'
import { composeHealth } from '#src/app/health.ts'
import type { StreamUnit } from '#src/app/stream.ts'
import { systemClock } from '#src/clock.ts'
import type { StreamStatus } from '#src/engine/status.ts'
import { askAll } from '#src/http/health-json.ts'
import { loadConfig } from '#src/settings/config.ts'

const RUNNING: StreamStatus = { state: 'running', member: true, breakers: [], partitions: [] }
const HALTED: StreamStatus = { ...RUNNING, state: 'halted', member: false, error: 'column "reason" does not exist' }

function healthOf(statuses: Readonly<Record<string, StreamStatus>>) {
  const isOpen = { name: 'start', check: () => ({ ok: true }) }
  const units = Object.entries(statuses).map(([name, status]) => {
    const engine = { status: () => status, storeAway: () => {} }
    return { stream: { name }, gate: { check: { ...isOpen, stream: name } }, engine } as unknown as StreamUnit
  })
  const gate = { check: isOpen, open: () => {}, until: async () => undefined }
  const health = composeHealth({ config: loadConfig({}), gate, units, clock: systemClock })
  return { ready: askAll(health.ready), live: askAll(health.live) }
}

it('a single stream has the checks that it always had', () => {
  const { ready, live } = healthOf({ orders: RUNNING })
  expect(ready.map(({ name }) => name)).toEqual([
    ...['start', 'postgres', 'stream', 'group_member', 'breakers', 'partitions', 'shutdown'],
  ])
  expect(live.map(({ name }) => name)).toEqual(['stream', 'loop', 'partitions_move'])
})

it('of several streams the halted one is named with its reason, and asks for no restart', () => {
  const { ready, live } = healthOf({ orders: RUNNING, returns: HALTED })
  expect(ready.filter(({ ok, name }) => !ok && name !== 'postgres')).toEqual([
    {
      name: 'stream:returns',
      ok: false,
      reason: 'halted, and tried again at intervals: column "reason" does not exist',
    },
  ])
  expect(live.filter(({ ok }) => !ok)).toEqual([])
})

it('a command that a reason names says which stream, where there are several', () => {
  const partition = {
    ...{ topic: 't', partition: 3, next: 0n, high: undefined, lagRecords: undefined, lastProgressMs: undefined },
    ...{
      oldestUnsettledTimestampMs: undefined,
      bufferedRecords: 0,
      inFlightRecords: 0,
      paused: ['storm_guard'] as const,
    },
  }
  const stopped: StreamStatus = { ...RUNNING, partitions: [partition] }
  const reasonOf = (statuses: Record<string, StreamStatus>) =>
    healthOf(statuses).ready.find(({ name, ok }) => name.startsWith('partitions') && !ok)?.reason
  expect(reasonOf({ returns: stopped, orders: RUNNING })).toContain('holdfast resume --stream returns --partition 3')
  expect(reasonOf({ returns: stopped })).toContain('holdfast resume --partition 3')
})
