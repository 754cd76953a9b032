import type { Request, Response, Router } from 'express'
import { UsageError } from '../../../engine/errors.ts'
import type { Operator } from '../../../engine/operator.ts'
import { refuseEdit } from '../../edit.ts'
import type { DeadLetterFilter } from '../../filter.ts'
import { leftOutWords } from '../../letter-states.ts'
import {
  NothingToRedriveError,
  type Redrive,
  type RedrivePreview,
  type RedriveRequest,
  USUAL_TARGET,
} from '../../redrive-ports.ts'
import {
  type AdminGuard,
  type AdminParts,
  answerable,
  bodyOf,
  createAdminRouter,
  limitOf,
  operatorOf,
  type PatientGuard,
  parameter,
  Refusal,
  sendJson,
  sentence,
} from '../admin.ts'

const LIST = { preset: 20, most: 100 }
/** With the new value of a record that is edited in it. */
const MAX_REQUEST_BYTES = 1024 * 1024

type RedriveParts = Pick<AdminParts, 'letters' | 'redrives' | 'search' | 'stream'>

/** `/admin/replays…`: what a redrive would do, starting one, and steering it. */
export function adminRedriveRoutes(parts: RedriveParts, guard: PatientGuard): Router {
  const { redrives } = parts
  const { router, route } = createAdminRouter(guard)
  const start = (req: Request<object>, res: Response) => startRedrive(parts, guard, req, res)
  route('/admin/dead-letters/replays', { post: start })
  route('/admin/replays', {
    post: start,
    get: async (req, res) => sendJson(res, 200, { replays: await redrives.list(limitOf(req, LIST)) }),
  })
  route<{ id: string }>('/admin/replays/:id', {
    get: async (req, res) => sendJson(res, 200, await known(req.params.id)),
  })
  route<{ id: string }>('/admin/replays/:id/resume', {
    post: async (req, res) => {
      const { because, rate, max_failures, yield_above } = await bodyOf(req, 'ResumeReplayRequest')
      const { id } = await known(req.params.id)
      const limits = { rate, maxFailures: max_failures, yieldAboveSeconds: yield_above }
      sendJson(res, 200, await steer(() => redrives.resume(id, operatorOf(guard, res, because), limits)))
    },
  })
  for (const step of ['pause', 'cancel'] as const) {
    route<{ id: string }>(`/admin/replays/:id/${step}`, {
      post: async (req, res) => {
        const { because } = await bodyOf(req, 'SteerRequest')
        const { id } = await known(req.params.id)
        sendJson(res, 200, await steer(() => redrives[step](id, operatorOf(guard, res, because))))
      },
    })
  }
  return router

  async function known(id: string): Promise<Redrive> {
    const redrive = /^[a-z0-9]{1,32}$/.test(id) ? await redrives.get(id) : undefined
    if (redrive !== undefined) return redrive
    throw new Refusal({ status: 404, code: 'replay_not_found', detail: 'There is no redrive with this id.' })
  }
}

async function startRedrive(
  parts: RedriveParts,
  guard: AdminGuard,
  req: Request<object>,
  res: Response,
): Promise<void> {
  const body = await bodyOf(req, 'ReplayRequest', MAX_REQUEST_BYTES)
  const { q, dry_run, to, rate, limit, only_passing, edit, canary, max_failures, yield_above, because } = body
  const by = operatorOf(guard, res, because)
  const filter = await answerable(parts, q, by, res)
  const request: RedriveRequest = {
    filter,
    to: to ?? USUAL_TARGET,
    rate,
    limit,
    onlyPassing: only_passing ?? false,
    edited: edit === undefined ? undefined : await editedValue(parts, filter, edit),
    automatic: false,
    guard: { canary, maxFailures: max_failures, yieldAboveSeconds: yield_above },
  }
  const preview = await parts.redrives.preview(request)
  if (dry_run) return sendJson(res, 200, { preview })
  if (preview.count === 0) throw nothing(preview)
  const redrive = await started(parts, request, by)
  sendJson(res, 201, { replay: redrive, preview }, { Location: `/admin/replays/${redrive.id}${ofStream(req)}` })
}

/** A redrive is found again where it was asked for. */
function ofStream(req: Request<object>): string {
  const name = parameter(req, 'stream')
  return name === undefined ? '' : `?stream=${encodeURIComponent(name)}`
}

/** @throws Refusal when the value may not take the place of the record */
async function editedValue({ letters, stream }: RedriveParts, filter: DeadLetterFilter, edit: string): Promise<Buffer> {
  const value = Buffer.from(edit)
  const refused = await refuseEdit({ letters, judge: stream.judge }, filter, value)
  if (refused === undefined) return value
  const { code, message, violations } = refused
  const errors = violations.map(({ pointer, message }) => ({ pointer, message }))
  throw new Refusal({ status: 422, code, detail: sentence(message), ...(errors.length === 0 ? {} : { errors }) })
}

async function started({ redrives }: RedriveParts, request: RedriveRequest, by: Operator): Promise<Redrive> {
  try {
    return await redrives.start(request, by)
  } catch (error) {
    // The set became empty, or larger than one, after it was looked at.
    if (error instanceof NothingToRedriveError) throw nothing(error.preview)
    if (!(error instanceof UsageError)) throw error
    throw new Refusal({ status: 422, code: 'edit_needs_one', detail: sentence(error.message) })
  }
}

function nothing({ left_out, held_by }: RedrivePreview): Refusal {
  const why = leftOutWords(left_out)
  const nothing = why === '' ? 'No dead letter matches.' : `Of what matches, nothing may be redriven: ${why}.`
  const detail = [nothing, ...held_by.map(({ message }) => sentence(message))].join(' ')
  return new Refusal({ status: 422, code: 'nothing_to_replay', detail })
}

async function steer(step: () => Promise<Redrive>): Promise<Redrive> {
  try {
    return await step()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw new Refusal({ status: 409, code: 'wrong_state', detail: sentence(error.message) })
  }
}
