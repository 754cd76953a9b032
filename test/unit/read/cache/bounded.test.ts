import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const FILLER = fileURLToPath(new URL('../../../support/fill-cache.ts', import.meta.url))
const MEBIBYTE = 1024 * 1024

/** As `bin/holdfast` runs the service. */
const FLAGS = ['--max-semi-space-size=4']

/** A process of its own: this one's memory holds vitest. */
async function fill(maxBytes: number, times: number) {
  const { stdout } = await promisify(execFile)(process.execPath, [...FLAGS, FILLER, String(maxBytes), String(times)])
  return JSON.parse(stdout) as {
    readonly heldBytes: number
    readonly grownBytes: number
    readonly entries: number
    readonly evictions: Readonly<Record<string, number>>
  }
}

it('keeps the memory of the process within its bound, however much goes through it', async () => {
  const maxBytes = 64 * MEBIBYTE
  const { heldBytes, grownBytes, entries, evictions } = await fill(maxBytes, 10)
  expect(heldBytes).toBeLessThanOrEqual(maxBytes)
  // It is full, and nothing stays behind of what went.
  expect(heldBytes).toBeGreaterThan(maxBytes * 0.9)
  expect(evictions.size).toBeGreaterThan(4 * entries)
  // What is held, twice as much that the collector has not got round to, and room for its young ones. Measured: 165 MiB, and
  // hardly more when three times as much goes through; without eviction it would be 650 MiB.
  expect(grownBytes).toBeLessThan(3 * maxBytes + 64 * MEBIBYTE)
}, 180_000)
