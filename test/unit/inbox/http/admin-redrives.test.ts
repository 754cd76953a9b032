import { describe, expect, it } from 'vitest'
import type { RedriveRequest } from '#src/inbox/redrive-ports.ts'
import { modelOrder } from '../../../support/orders.ts'
import { answerOf, startAdmin } from './admin-support.ts'

const VALID = JSON.stringify(modelOrder)

describe('a redrive', () => {
  it.each(['/admin/dead-letters/replays', '/admin/replays'])('is looked at, begun and watched: %s', async path => {
    await using service = await startAdmin()
    service.inbox.add()
    service.inbox.add({ state: 'resolved' })
    const q = 'reason:schema_violation'
    const dry = await answerOf(service.post(path, { q, dry_run: true }))
    expect(dry).toMatchObject({ status: 200, body: { preview: { count: 1, left_out: { not_open: 1 } } } })
    expect(service.inbox.log).toEqual([])

    const response = await service.post(path, { q, rate: 50, because: 'fixed' })
    const { status, body } = await answerOf(Promise.resolve(response))
    expect(status).toBe(201)
    const { replay: redrive, preview } = body
    expect(preview).toEqual(dry.body.preview)
    expect(redrive).toMatchObject({ filter: q, requested_by: 'chief', because: 'fixed', rate: 50, total: 1 })
    expect(response.headers.get('location')).toBe(`/admin/replays/${redrive.id}`)
    expect((await answerOf(service.ask(`/admin/replays/${redrive.id}`))).body).toEqual(redrive)
    expect((await answerOf(service.ask('/admin/replays'))).body).toEqual({ replays: [redrive] })
  })

  it('hands on what was asked for', async () => {
    const asked: RedriveRequest[] = []
    const redrives = {
      async preview(request: RedriveRequest) {
        asked.push(request)
        return { count: 0, by_reason: {}, oldest: null, newest: null, left_out: {}, held_by: [], check: null }
      },
    }
    await using service = await startAdmin({ inbox: { redrives } })
    const guard = { canary: 50, max_failures: 3, yield_above: 2.5 }
    await service.post('/admin/replays', {
      q: 'uid:a*',
      to: 'topic',
      rate: 0.5,
      limit: 7,
      only_passing: true,
      ...guard,
      dry_run: true,
    })
    expect(asked).toMatchObject([
      {
        ...{
          filter: { terms: [{ field: 'key', values: ['a*'] }] },
          to: 'topic',
          rate: 0.5,
          limit: 7,
          onlyPassing: true,
        },
        guard: { canary: 50, maxFailures: 3, yieldAboveSeconds: 2.5 },
      },
    ])
    await service.post('/admin/replays', { q: '', dry_run: true })
    expect(asked[1]).toEqual({
      ...{
        filter: { terms: [] },
        to: 'store',
        rate: undefined,
        limit: undefined,
        onlyPassing: false,
        edited: undefined,
      },
      automatic: false,
      guard: {},
    })
  })

  it('runs alone: who comes second is told which one runs', async () => {
    await using service = await startAdmin()
    service.inbox.add()
    const first = await answerOf(service.post('/admin/replays', { q: '' }))
    const second = await answerOf(service.post('/admin/replays', { q: '' }))
    expect(second).toMatchObject({ status: 409, body: { code: 'replay_running', running: first.body.replay } })
  })

  it('of nothing is refused, with why', async () => {
    await using service = await startAdmin()
    service.inbox.add({ state: 'discarded' })
    expect(await answerOf(service.post('/admin/replays', { q: '' }))).toMatchObject({
      status: 422,
      body: { code: 'nothing_to_replay', detail: 'Of what matches, nothing may be redriven: 1 not open.' },
    })
    expect(await answerOf(service.post('/admin/replays', { q: 'id:none' }))).toMatchObject({
      status: 422,
      body: { code: 'nothing_to_replay', detail: 'No dead letter matches.' },
    })
  })

  it.each([
    [{ q: '', rate: 0 }, '/rate'],
    [{ q: '', rate: -1 }, '/rate'],
    [{ q: '', limit: 1.5 }, '/limit'],
    [{ q: '', canary: -1 }, '/canary'],
    [{ q: '', max_failures: 0.5 }, '/max_failures'],
    [{ q: '', yield_above: -1 }, '/yield_above'],
    [{ q: '', edit: 7 }, '/edit'],
    [{}, '/q'],
  ])('is refused when what is asked for cannot be: %j', async (body, pointer) => {
    await using service = await startAdmin()
    const answer = await answerOf(service.post('/admin/replays', body))
    expect(answer).toMatchObject({ status: 400, body: { code: 'bad_body', errors: [{ pointer }] } })
  })

  it('is paused, resumed and cancelled by name, with the reason', async () => {
    await using service = await startAdmin()
    service.inbox.add()
    const { id } = (await answerOf(service.post('/admin/replays', { q: '' }))).body.replay
    const step = async (name: string) => (await answerOf(service.post(`/admin/replays/${id}/${name}`, {}))).body.state
    expect(await answerOf(service.post(`/admin/replays/${id}/pause`, { because: 'too fast' }))).toMatchObject({
      status: 200,
      body: { id, state: 'paused' },
    })
    expect(service.inbox.log.at(-1)).toMatchObject({ who: 'chief', what: 'replay_pause', because: 'too fast' })
    expect([await step('resume'), await step('cancel')]).toEqual(['queued', 'cancelled'])
    expect(await step('cancel')).toBe('cancelled')
    const late = await answerOf(service.ask(`/admin/replays/${id}/pause`, { method: 'POST' }))
    expect(late).toMatchObject({ status: 409, body: { code: 'wrong_state' } })
  })

  it.each(['r9', 'R1', '..'])('that does not exist is 404: %s', async id => {
    await using service = await startAdmin()
    const path = `/admin/replays/${encodeURIComponent(id)}`
    expect((await service.ask(`${path}x`)).status).toBe(404)
    expect((await service.ask(`${path}x/pause`, { method: 'POST' })).status).toBe(404)
  })
})

describe('an edit', () => {
  const edit = async (value: string, q = 'id:orders-0-0', dry_run = false) => {
    await using service = await startAdmin()
    service.inbox.add()
    service.inbox.add()
    const answer = await answerOf(service.post('/admin/replays', { q, edit: value, dry_run }))
    return { ...answer, begun: service.inbox.running.size }
  }

  it('takes the place of one value', async () => {
    expect(await edit(VALID)).toMatchObject({ status: 201, body: { replay: { edited: true } }, begun: 1 })
  })

  it('may have as many bytes as an order that is sent in', async () => {
    const { delivery, ...rest } = modelOrder
    const large = JSON.stringify({ ...rest, delivery, unknown: 'x'.repeat(500_000) })
    expect(await edit(large)).toMatchObject({ status: 201 })
    expect(await edit(JSON.stringify({ unknown: 'x'.repeat(1_100_000) }))).toMatchObject({ status: 413, begun: 0 })
  })

  it('that would be set aside again is refused, with its violations', async () => {
    const { track_number: _, ...broken } = modelOrder
    expect(await edit(JSON.stringify(broken))).toMatchObject({
      status: 422,
      body: { code: 'schema_violation', errors: [{ pointer: '/track_number', message: 'is missing' }] },
      begun: 0,
    })
    expect(await edit('{"order_uid":', undefined, true)).toMatchObject({
      status: 422,
      body: { code: 'malformed_json', errors: [{ pointer: '' }] },
    })
  })

  it('must have the same key, where that is known', async () => {
    await using service = await startAdmin()
    service.inbox.add({ key: 'another' })
    const answer = await answerOf(service.post('/admin/replays', { q: '', edit: VALID }))
    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'edit_of_another_key', detail: expect.stringContaining('has another') },
    })
    expect(service.inbox.running.size).toBe(0)
  })

  it.each(['', 'id:none'])('must be of exactly one, also to be looked at first: %j', async q => {
    for (const dryRun of [false, true])
      expect(await edit(VALID, q, dryRun)).toMatchObject({ status: 422, body: { code: 'edit_needs_one' }, begun: 0 })
  })
})
