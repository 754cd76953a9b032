import { faultsOf, type Mutation, unit } from './mutation.ts'

const CACHE = unit('read/cache/cache', 'read/cache/coherence', 'read/cache/warm')

/** What is served from memory. */
export const READ_FAULTS: readonly Mutation[] = [
  ...faultsOf('read/cache/cache', CACHE, [
    [
      'an older version replaces a newer one',
      "compareOrigins(entry.origin, held.origin) !== 'newer') return",
      "compareOrigins(entry.origin, held.origin) === 'same') return",
    ],
    ['a load that was disowned leaves its answer behind', '      if (!disowned()) {\n', '      if (start >= 0) {\n'],
    [
      'a write that another one may have overtaken is held',
      '        if (overtaken.has(value.key)) {\n',
      '        if (overtaken.has(value.key) && loads.has(value.key)) {\n',
    ],
    ['what nobody vouches for is served', '    if (!vouchedFor()) return undefined\n', ''],
    ['what left the cache while it is warmed comes back', 'if (now.gone.has(value.key) || entries', 'if (entries'],
    [
      'that there is no value is remembered from the answer on',
      'absent.set(key, true, { start })',
      'absent.set(key, true)',
    ],
    ['warming evicts', '            if (entries.calculatedSize + costOf(value.key, entry) > maxSize) break\n', ''],
    ['the newest value is the first to be evicted', '      rank(added)\n', ''],
  ]),
  ...faultsOf('read/cache/overtaken', CACHE, [
    [
      'keys are forgotten before their time',
      'old = nowMs - turnedAtMs < 2 * forMs ? young : new Set()',
      'old = new Set()',
    ],
  ]),
  ...faultsOf('read/cache/entry', unit('read/cache/cache', 'read/cache/bounded'), [
    [
      'a small entry keeps the whole slab',
      '  if (bytes.length === bytes.buffer.byteLength) return bytes\n',
      '  return bytes\n',
    ],
  ]),
]
