import { createHash } from 'node:crypto'
import type { AccessRole, ApiKey } from '#src/settings/access.ts'
import { type AdminStandIn, adminStandIn, type StandInParts } from '../../../support/admin-stand-in.ts'
import { type Service, startService } from '../../http/support.ts'

export interface AdminService extends Service {
  readonly inbox: AdminStandIn
  /** Asks as the key `chief`, of the role admin. */
  ask(path: string, init?: RequestInit): Promise<Response>
  /** Posts JSON as that key. */
  post(path: string, body: unknown): Promise<Response>
}

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever a test expects in it
  readonly body: any
}

export const aKey = (name: string, role: AccessRole): ApiKey => {
  return { name, role, sha256: createHash('sha256').update(`${name}-key`).digest('hex') }
}
export const bearer = (name: string) => ({ Authorization: `Bearer ${name}-key` })

/** The server over dead letters in memory. */
export async function startAdmin(
  options: Parameters<typeof startService>[0] & { readonly inbox?: StandInParts } = {},
): Promise<AdminService> {
  const inbox = adminStandIn(options.inbox)
  const keys = [aKey('reader', 'read'), aKey('writer', 'write'), aKey('chief', 'admin')]
  const service = await startService({ keys, keyless: 'loopback', admin: [inbox], ...options })
  return {
    ...service,
    inbox,
    ask: (path, init = {}) => service.get(path, { ...init, headers: { ...bearer('chief'), ...init.headers } }),
    post: (path, body) =>
      service.get(path, {
        method: 'POST',
        headers: { ...bearer('chief'), 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      }),
  }
}

export async function answerOf(response: Promise<Response>): Promise<Answer> {
  const answered = await response
  return { status: answered.status, body: await answered.json() }
}
