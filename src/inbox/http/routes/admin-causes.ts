import type { Router } from 'express'
import { UsageError } from '../../../engine/errors.ts'
import type { CauseChange, ListedCause } from '../../causes.ts'
import {
  type AdminParts,
  bodyOf,
  createAdminRouter,
  operatorOf,
  type PatientGuard,
  Refusal,
  sendJson,
  sentence,
} from '../admin.ts'

/** `/admin/dead-letters/causes…`: what operators say of the causes of dead letters. */
export function adminCauseRoutes({ causes }: Pick<AdminParts, 'causes'>, guard: PatientGuard): Router {
  const { router, route } = createAdminRouter(guard)
  route('/admin/dead-letters/causes', {
    get: async (_req, res) => sendJson(res, 200, { causes: await causes.list() }),
  })
  route<{ id: string }>('/admin/dead-letters/causes/:id', {
    get: async (req, res) => sendJson(res, 200, found(await known(req.params.id, id => causes.get(id)))),
    patch: async (req, res) => {
      const { state, snooze_seconds, snooze_more, owner, note, because } = await bodyOf(req, 'CauseChange')
      const change: CauseChange = present({
        state,
        snoozeSeconds: snooze_seconds,
        snoozeMore: snooze_more,
        owner,
        note,
      })
      const by = operatorOf(guard, res, because)
      try {
        sendJson(res, 200, found(await known(req.params.id, id => causes.change(id, change, by))))
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        throw new Refusal({ status: 400, code: 'bad_body', detail: sentence(error.message) })
      }
    },
  })
  return router
}

/** Postgres takes no text with NUL: nothing has such an id. */
async function known(
  id: string,
  ask: (id: string) => Promise<ListedCause | undefined>,
): Promise<ListedCause | undefined> {
  return id.includes('\0') ? undefined : await ask(id)
}

function found(cause: ListedCause | undefined): ListedCause {
  if (cause !== undefined) return cause
  throw new Refusal({ status: 404, code: 'no_such_cause', detail: 'There is no cause with this id.' })
}

function present<T extends object>(members: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T
}
