/** The shapes of a topic, and of the work on it, that are measured. */
import type { BacklogOptions } from './backlog.ts'

/** What a shape is made from. */
export interface ShapeInput {
  readonly orders: number
  readonly partitions: number
  /** Share of records that are a new version of an earlier order, 0 to 1. */
  readonly updatesRatio: number
  readonly seed: number
}

export interface Shape {
  /** For `--help` and the table. */
  readonly about: string
  /** Where its records differ from those of `plain`. */
  readonly records?: (input: ShapeInput) => Partial<BacklogOptions>
}

/** Items of an order in the shape `items`: so many more bytes and rows an order that fewer orders tell as much. */
const MANY_ITEMS = 100
const FEWER_ORDERS = 25

export const SHAPES = {
  plain: { about: 'orders of 1 to 5 items' },
  skew: { about: '90 % of the orders on one partition', records: () => ({ hotShare: 0.9 }) },
  items: {
    about: `${MANY_ITEMS} items an order, a ${FEWER_ORDERS}th of the orders`,
    records: ({ orders }) => ({ items: MANY_ITEMS, orders: Math.max(1, Math.round(orders / FEWER_ORDERS)) }),
  },
  updates: { about: '30 % of the records are a new version', records: () => ({ updatesRatio: 0.3 }) },
  invalid: {
    about: '2 % of the records are invalid, and become dead letters',
    records: () => ({ invalidRatio: 0.02 }),
  },
  replay: { about: 'the topic once more, after `holdfast seek --to earliest`' },
  'two-streams': {
    about: 'half of the records are orders, half those of another stream, in one process',
    records: ({ orders }) => ({ orders: Math.max(1, Math.round(orders / 2)) }),
  },
  processes: { about: '1, 2 and 4 processes share the partitions' },
  'hash-partitions': { about: 'tables in 8 parts, by a hash of the key, beside whole ones' },
  latency: { about: 'from the record’s timestamp to the commit, at a share of the drain rate' },
} as const satisfies Readonly<Record<string, Shape>>

export type ShapeName = keyof typeof SHAPES

export const SHAPE_NAMES = Object.keys(SHAPES) as ShapeName[]

export function recordsOfShape(name: ShapeName, input: ShapeInput): BacklogOptions {
  const { orders, partitions, updatesRatio, seed } = input
  const shape: Shape = SHAPES[name]
  return {
    ...{ orders, partitions, updatesRatio, seed },
    ...{ invalidRatio: 0, items: undefined, hotShare: undefined },
    topic: `orders-${name}`,
    ...shape.records?.(input),
  }
}
