import { isOperatorName } from '../engine/operator.ts'

/** What a caller of the API may do; each includes those before it. */
const ACCESS_ROLES = ['read', 'write', 'admin'] as const
export type AccessRole = (typeof ACCESS_ROLES)[number]

/** A key that callers present. Only its hash is known here. */
export interface ApiKey {
  /** Whose it is: for the log and the audit. The same name may stand twice, while its key is being exchanged. */
  readonly name: string
  readonly role: AccessRole
  /** SHA-256 of the key's UTF-8 text, 64 hexadecimal digits. */
  readonly sha256: string
}

/** Who may do without a key (reading and writing; never what needs `admin`). */
export type Keyless = 'nobody' | 'loopback' | 'everyone'

export function includesRole(held: AccessRole, needed: AccessRole): boolean {
  return ACCESS_ROLES.indexOf(held) >= ACCESS_ROLES.indexOf(needed)
}

const SEPARATOR = /\s*[,\n]\s*/

/** `name:role:sha256hex`, several separated by commas or, as in a file, by line breaks. @returns `undefined` when it is not that */
export function parseApiKeys(text: string): readonly ApiKey[] | undefined {
  const keys: ApiKey[] = []
  for (const part of text.split(SEPARATOR)) {
    const [, name, role, sha256] = /^([^:]+):([a-z]+):([0-9a-f]{64})$/i.exec(part.trim()) ?? []
    const known = ACCESS_ROLES.find(candidate => candidate === role)
    if (name === undefined || !isOperatorName(name) || known === undefined || sha256 === undefined) return undefined
    keys.push({ name, role: known, sha256: sha256.toLowerCase() })
  }
  return keys
}

/** Names and roles. What stands where the hash should be is hidden: it may be the key itself. */
export function maskApiKeys(text: string): string {
  if (text === '') return ''
  return text
    .split(SEPARATOR)
    .map(part => /^\s*([^:]+):(read|write|admin):/.exec(part))
    .map(match => (isOperatorName(match?.[1] ?? '') ? `${match?.[1]}:${match?.[2]}:***` : '***'))
    .join(',')
}
