import { describe, expect, it } from 'vitest'
import { includesRole, maskApiKeys, parseApiKeys } from '#src/settings/access.ts'

const HASH = 'a'.repeat(64)

describe('API_KEYS', () => {
  it('is a list of names, roles and hashes', () => {
    expect(parseApiKeys(`web:read:${HASH}, ops.1:admin:${HASH.toUpperCase()}`)).toEqual([
      { name: 'web', role: 'read', sha256: HASH },
      { name: 'ops.1', role: 'admin', sha256: HASH },
    ])
  })

  it.each([
    '',
    'web',
    `web:read:${HASH},`,
    `web:root:${HASH}`,
    `web:READ:${HASH}`,
    `:read:${HASH}`,
    'web:read:the key itself',
    `automatic:admin:${HASH}`,
    `web:read:${HASH}0`,
  ])('is refused as a whole when a part cannot be read: %j', text => {
    expect(parseApiKeys(text)).toBeUndefined()
  })

  it.each([
    [`web:read:${HASH}, ops:admin:${HASH}`, 'web:read:***,ops:admin:***'],
    ['web:read:the-key-itself', 'web:read:***'],
    ['the-key-itself', '***'],
    ['the-key-itself:x:y', '***'],
    ['', ''],
  ])('is shown without what could be a secret: %j', (text, shown) => {
    expect(maskApiKeys(text)).toBe(shown)
  })
})

it('a role includes those before it', () => {
  expect(includesRole('admin', 'read')).toBe(true)
  expect(includesRole('write', 'write')).toBe(true)
  expect(includesRole('read', 'write')).toBe(false)
  expect(includesRole('write', 'admin')).toBe(false)
})
