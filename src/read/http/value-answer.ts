import type { Lookup } from '../read-side.ts'

/** Clients may keep their copy, and must ask each time: a value can change at any moment. */
export const VALUE_CACHE_CONTROL = 'private, no-cache'
export const JSON_CONTENT_TYPE = 'application/json; charset=utf-8'

/** RFC 9211. `ttl` is in whole seconds, left out when the entry stays as long as there is space. */
export function cacheStatus({ hit, collapsed, stored, ttlMs }: Lookup): string {
  if (hit) return Number.isFinite(ttlMs) ? `holdfast; hit; ttl=${Math.floor(ttlMs / 1000)}` : 'holdfast; hit'
  return `holdfast; fwd=miss${stored ? '; stored' : ''}${collapsed ? '; collapsed' : ''}`
}
