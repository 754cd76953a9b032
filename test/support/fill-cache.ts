/**
 * Fills a cache many times over, as a process of its own whose memory can be looked at: `node fill-cache.ts BYTES TIMES`.
 * Prints what it held at most by its own count, and by how much the process grew.
 */
import { createCache } from '#src/read/cache/cache.ts'

const [maxBytes = 0, times = 0] = process.argv.slice(2).map(Number)
const JSON_BYTES = 1_500
const BATCH = 500

const cache = createCache({
  maxBytes,
  ttlMs: 0,
  reader: {
    read: async uid => (uid.startsWith('absent') ? undefined : version(uid, 1n)),
    async *newest() {},
  },
})

function version(uid: string, offset: bigint) {
  const origin = { topic: 'orders', partition: 0, offset, timestampMs: Number(offset) }
  return { key: uid, json: Buffer.alloc(JSON_BYTES + (Number(offset) % 1_000), 'x'), origin }
}

let rssBytes = 0
let heldBytes = 0
// The first filling brings code, pages and pools into memory; what counts is what comes on top of the empty process.
const emptyBytes = process.memoryUsage.rss()
for (let written = 0, offset = 0n; written < maxBytes * times; ) {
  const values = Array.from({ length: BATCH }, () => {
    offset += 1n
    // A tenth of them are new versions of one that was there.
    return version(`order-${offset % 10n === 0n ? offset / 2n : offset}`, offset)
  })
  cache.put(values)
  for (const { json } of values) written += json.length
  for (let i = 0; i < BATCH; i += 10) {
    await cache.get(`order-${offset - BigInt(i)}`)
    await cache.get(`loaded-${offset}-${i}`)
    await cache.get(`absent-${offset}-${i}`)
  }
  rssBytes = Math.max(rssBytes, process.memoryUsage.rss())
  heldBytes = Math.max(heldBytes, cache.stats().bytes)
}
const { entries, evictions } = cache.stats()
console.log(JSON.stringify({ heldBytes, grownBytes: rssBytes - emptyBytes, entries, evictions }))
