import { fileURLToPath } from 'node:url'

/** HOLDFAST_CONFIG of a process that runs orders and returns. */
export const TWO_STREAMS = fileURLToPath(new URL('two-streams.config.ts', import.meta.url))

/** Tables of the stream `returns` of two-streams.config.ts. */
export const RETURN_TABLES = `
  CREATE TABLE public.returns (
    return_id text COLLATE "C" PRIMARY KEY, created_at timestamptz NOT NULL, reason text NOT NULL,
    source_topic text NOT NULL, source_partition int NOT NULL, source_offset bigint NOT NULL, source_timestamp bigint NOT NULL,
    stored_at timestamptz NOT NULL
  );
  CREATE TABLE public.return_lines (
    return_id text COLLATE "C", position integer, sku text NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (return_id, position)
  )`

/** A value of `returns`, with one to three lines. */
export function aReturn(number: number) {
  return {
    return_id: `return-${number}`,
    created_at: '2026-03-01T10:20:30Z',
    reason: 'too small',
    lines: Array.from({ length: 1 + (number % 3) }, (_, line) => ({ sku: `sku-${line}`, quantity: line + 1 })),
  }
}

/** Records of `returns`, numbered from `from` and below `to`. */
export function someReturns(from: number, to: number) {
  return Array.from({ length: to - from }, (_, index) => {
    const value = aReturn(from + index)
    return { key: Buffer.from(value.return_id), value: JSON.stringify(value) }
  })
}
