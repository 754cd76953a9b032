import { expect, it } from 'vitest'
import { readOptions } from '../../../bench/options.ts'
import { recordsOfShape, SHAPE_NAMES } from '../../../bench/shapes.ts'

it('takes another contender by its settings', () => {
  const { variants, updatesRatio, orders } = readOptions([
    ...['--updates', '5%', '--orders', '1000'],
    ...['--variant', 'PG_POOL_MAX=6 KAFKA_CONFIG=queued.max.messages.kbytes=4096', '--variant', 'BATCH_LINGER_MS=20'],
  ])
  expect({ updatesRatio, orders }).toEqual({ updatesRatio: 0.05, orders: 1000 })
  expect(variants.map(({ settings }) => settings)).toEqual([
    { PG_POOL_MAX: '6', KAFKA_CONFIG: 'queued.max.messages.kbytes=4096' },
    { BATCH_LINGER_MS: '20' },
  ])
})

it('measures the plain shape unless others are named', () => {
  expect(readOptions([]).shapes).toEqual(['plain'])
  expect(readOptions(['--shape', 'skew', '--shape', 'items']).shapes).toEqual(['skew', 'items'])
  expect(readOptions(['--shape', 'all']).shapes).toEqual(SHAPE_NAMES)
})

it('takes a rival by its command, equals signs included', () => {
  expect(readOptions(['--beside', 'theirs=A=1 run --fast', '--beside', 'others=run']).beside).toEqual([
    { name: 'theirs', command: 'A=1 run --fast' },
    { name: 'others', command: 'run' },
  ])
})

it('changes what makes a shape, and keeps the rest of the options', () => {
  const options = readOptions(['--orders', '1000', '--partitions', '3', '--seed', '7'])
  expect(recordsOfShape('plain', options)).toMatchObject({ orders: 1000, updatesRatio: 0.02, invalidRatio: 0 })
  expect(recordsOfShape('updates', options)).toMatchObject({ orders: 1000, updatesRatio: 0.3, partitions: 3, seed: 7 })
  expect(recordsOfShape('items', options)).toMatchObject({ orders: 40, items: 100 })
})
