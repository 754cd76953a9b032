import { expect, it } from 'vitest'
import { functionOf, partOf, selfTimes } from '../../../bench/profile.ts'

const frames = [
  { functionName: 'judge', url: 'file:///there/src/orders/order.ts', lineNumber: 40 },
  { functionName: 'parse', url: 'file:///there/node_modules/pg-protocol/dist/parser.js', lineNumber: 7 },
  { functionName: '(garbage collector)', url: '', lineNumber: -1 },
  { functionName: '(idle)', url: '', lineNumber: -1 },
]
const profile = {
  nodes: frames.map((callFrame, i) => ({ id: i + 1, callFrame })),
  samples: [1, 4, 1, 2, 3],
  timeDeltas: [4_000, 90_000, 2_000, 1_000, 3_000],
}

it('gives each function its share of the busy time; idling is nobody’s', () => {
  expect(selfTimes(profile, functionOf)).toEqual([
    { name: 'src/orders/order.ts judge:41', milliseconds: 6, share: 0.6 },
    { name: '(garbage collector)', milliseconds: 3, share: 0.3 },
    { name: 'node_modules/pg-protocol/dist/parser.js parse:8', milliseconds: 1, share: 0.1 },
  ])
})

it('adds up rooms, packages and V8', () => {
  expect(selfTimes(profile, partOf).map(({ name }) => name)).toEqual([
    'src/orders/',
    '(garbage collector)',
    'pg-protocol',
  ])
})
