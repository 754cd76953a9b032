import { describe, expect, it } from 'vitest'
import { type AdminService, answerOf, startAdmin } from './admin-support.ts'

const CAUSES = '/admin/dead-letters/causes'

function patch(service: AdminService, id: string, body: object): Promise<Response> {
  return service.ask(`${CAUSES}/${id}`, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

describe('a cause', () => {
  it('is listed with what waits for it, and stands beside its group', async () => {
    await using service = await startAdmin()
    service.inbox.add({ reason: 'malformed_json', error: 'not_json', pointer: '' })
    service.inbox.add()
    service.inbox.add({ state: 'resolved' })
    service.inbox.add()
    const { body } = await answerOf(service.ask(CAUSES))
    expect(body.causes).toMatchObject([
      { error: 'required', state: 'new', waiting: 2, count: 3 },
      { error: 'not_json', waiting: 1 },
    ])
    const [{ id }] = body.causes
    const { body: groups } = await answerOf(service.ask('/admin/dead-letters/groups?q=state:open'))
    expect(groups.groups[0].cause).toMatchObject({ id, state: 'new', owner: null })
    expect(await answerOf(service.ask(`${CAUSES}/${id}`))).toMatchObject({ status: 200, body: { id, waiting: 2 } })
  })

  it('is changed by who may, and the audit log says who', async () => {
    await using service = await startAdmin()
    service.inbox.add()
    const [{ id }] = (await answerOf(service.ask(CAUSES))).body.causes
    const known = { state: 'known', owner: 'ada', note: 'ticket 4711', because: 'looked at' }
    expect(await answerOf(patch(service, id, known))).toMatchObject({
      ...{ status: 200, body: { id, state: 'known', owner: 'ada', note: 'ticket 4711', changed_by: 'chief' } },
    })
    expect((await answerOf(service.ask('/admin/stream'))).body.dead_letters.attention).toEqual({})
    expect(await answerOf(patch(service, id, { state: 'snoozed', snooze_more: 10, owner: '' }))).toMatchObject({
      body: { state: 'snoozed', snoozed_above: 11, owner: null, note: 'ticket 4711' },
    })
    expect(service.inbox.log).toMatchObject([
      { who: 'chief', what: 'cause', because: 'looked at', counts: { cause: id, state: 'known', was: 'new' } },
      { who: 'chief', what: 'cause', because: 'not said' },
    ])
  })

  it.each<[string, object]>([
    ['no such state', { state: 'new' }],
    ['a snooze without an end', { state: 'snoozed' }],
    ['an end without a snooze', { state: 'known', snooze_more: 3 }],
    ['nothing', {}],
    ['a member that is not known', { satte: 'known' }],
  ])('is not changed by %s, and the answer says what would be right', async (_, body) => {
    await using service = await startAdmin()
    service.inbox.add()
    const [{ id }] = (await answerOf(service.ask(CAUSES))).body.causes
    const refused = await answerOf(patch(service, id, body))
    expect(refused).toMatchObject({ status: 400, body: { code: 'bad_body' } })
    expect(service.inbox.log).toEqual([])
  })

  it('that is not there is none, and other methods are refused by name', async () => {
    await using service = await startAdmin()
    expect(await answerOf(patch(service, 'c000000000000', { state: 'known' }))).toMatchObject({
      ...{ status: 404, body: { code: 'no_such_cause' } },
    })
    expect((await service.ask(`${CAUSES}/c%00`)).status).toBe(404)
    const refused = await service.ask(`${CAUSES}/c1`, { method: 'POST' })
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD, PATCH'])
    expect((await service.get(CAUSES)).status).toBe(401)
  })
})
