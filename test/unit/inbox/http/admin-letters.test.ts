import { describe, expect, it } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { modelOrder } from '../../../support/orders.ts'
import { answerOf, startAdmin } from './admin-support.ts'

describe('the inbox', () => {
  it('is grouped by cause, the most frequent first, with a sample', async () => {
    await using service = await startAdmin()
    const { inbox } = service
    inbox.add({ reason: 'malformed_json', error: 'not_json', pointer: '' })
    inbox.add({ key: 'one' })
    inbox.add({ key: 'two', state: 'resolved' })
    const { body } = await answerOf(service.ask('/admin/dead-letters/groups'))
    expect(body.groups).toMatchObject([
      { reason: 'schema_violation', error: 'required', count: 2, states: { open: 1, resolved: 1 } },
      { reason: 'malformed_json', count: 1, sample: { id: 'orders-0-0' } },
    ])
    const open = await answerOf(service.ask('/admin/dead-letters/groups?q=state:open%20-reason:malformed_json'))
    expect(open.body.groups).toMatchObject([{ count: 1, sample: { key: 'one', order_uid: 'one' } }])
  })

  it('tells when they came in, by cause and hour', async () => {
    await using service = await startAdmin()
    service.inbox.add()
    service.inbox.add({ state: 'resolved' })
    const { body } = await answerOf(service.ask('/admin/dead-letters/arrivals'))
    expect(body.groups).toMatchObject([{ error: 'required', counts: [...new Array(22).fill(0), 2, 0] }])
    expect((await answerOf(service.ask('/admin/dead-letters/arrivals?q=reason:too_large'))).body.groups).toEqual([])
    expect((await service.ask('/admin/dead-letters/arrivals?q=non:sense')).status).toBe(400)
  })

  it('is turned page by page, latest failure first, without gap or repeat', async () => {
    await using service = await startAdmin()
    const ids = Array.from({ length: 7 }, () => service.inbox.add())
    const seen: string[] = []
    let cursor = ''
    for (;;) {
      const { body } = await answerOf(service.ask(`/admin/dead-letters?q=state:open&limit=3&cursor=${cursor}`))
      seen.push(...body.dead_letters.map(({ id }: { id: string }) => id))
      // One that comes meanwhile is newer than all pages that follow.
      service.inbox.add({ failed_at: '2026-02-01T00:00:00.000Z' })
      if (body.next === null) break
      cursor = body.next
    }
    expect(seen).toEqual(ids.toReversed())
  })

  it('is turned in the order that is asked for, which a cursor keeps', async () => {
    await using service = await startAdmin()
    for (const [partition, offset] of [
      [1, 5],
      [0, 10],
      [0, 9],
      [1, 4],
    ]) {
      const id = `orders-${partition}-${offset}`
      service.inbox.add({ id, source_partition: partition ?? 0, source_offset: String(offset) })
    }
    const page = (query: string) => answerOf(service.ask(`/admin/dead-letters?limit=3&${query}`))
    const idsOf = ({ body }: Awaited<ReturnType<typeof page>>) => body.dead_letters.map(({ id }: { id: string }) => id)
    const first = await page('sort=source')
    expect(idsOf(first)).toEqual(['orders-0-9', 'orders-0-10', 'orders-1-4'])
    expect(idsOf(await page(`cursor=${first.body.next}`))).toEqual(['orders-1-5'])
    expect(idsOf(await page(`sort=source&cursor=${first.body.next}`))).toEqual(['orders-1-5'])
    expect(idsOf(await page('sort=-source'))).toEqual(['orders-1-5', 'orders-1-4', 'orders-0-10'])
    expect(idsOf(await page('sort=failed_at'))).toEqual(['orders-1-5', 'orders-0-10', 'orders-0-9'])

    expect(await page(`sort=-source&cursor=${first.body.next}`)).toMatchObject({
      status: 400,
      body: { code: 'bad_query', detail: 'cursor is of a list that is sorted by source.' },
    })
    expect((await page('sort=bytes')).body.detail).toBe('sort must be one of -failed_at, failed_at, source, -source.')
  })
})

describe('a dead letter', () => {
  it('is shown byte for byte, and it is noted who looked', async () => {
    await using service = await startAdmin()
    const value = Buffer.from('{"order_uid": "x",\t"name":"Тест"}')
    const id = service.inbox.add({ value, recordKey: Buffer.from([0xff, 0x00]) })
    const { body } = await answerOf(service.ask(`/admin/dead-letters/${id}`))
    expect(body).toMatchObject({
      id,
      violations: [{ pointer: '/track_number', keyword: 'required' }],
      record_key: { hex: 'ff00', bytes: 2, masked: false },
      value: { text: value.toString(), bytes: value.length, masked: false },
      history: [{ what: 'failed' }, { what: 'revealed', who: 'chief' }],
    })
    expect(body.headers[0]).toEqual({ name: 'holdfast.id', text: id })
    expect(body).not.toHaveProperty('value_gone')
    expect(service.inbox.log).toMatchObject([
      { who: 'chief', what: 'reveal', filter: `id:${id}`, counts: { revealed: 1 } },
    ])
  })

  it('is masked when that is asked for: nobody is named, and nothing noted', async () => {
    await using service = await startAdmin()
    const id = service.inbox.add({
      value: Buffer.from(JSON.stringify(modelOrder)),
      recordKey: Buffer.from('Ivan Testov'),
    })
    const response = await service.ask(`/admin/dead-letters/${id}?masked=true`)
    const text = await response.text()
    for (const personal of Object.values(modelOrder.delivery)) expect(text).not.toContain(personal)
    expect(text).not.toContain('Ivan')
    const { value, record_key } = JSON.parse(text)
    expect(JSON.parse(value.text)).toMatchObject({ order_uid: modelOrder.order_uid, delivery: { name: '•••' } })
    expect([value.masked, record_key]).toEqual([true, { bytes: 11, masked: true }])
    expect(service.inbox.log).toEqual([])
  })

  it('that is no JSON shows only its size while it is masked', async () => {
    await using service = await startAdmin()
    const id = service.inbox.add({ value: Buffer.from('Ivan Testov, Moscow') })
    const { body } = await answerOf(service.ask(`/admin/dead-letters/${id}?masked=true`))
    expect(body.value).toEqual({ bytes: 19, masked: true })
  })

  it('hides while masked what a producer wrote into headers, and what other programs quoted', async () => {
    await using service = await startAdmin()
    const id = service.inbox.add()
    const record = service.inbox.bytes.get(id)
    if (record === undefined) throw new Error('it was just added')
    const names = ['x-customer', 'kafka_dlt-exception-message', 'kafka_dlt-original-topic', 'traceparent']
    service.inbox.bytes.set(id, { ...record, headers: names.map(name => [name, Buffer.from('Ivan')]) })
    const headers = async (query: string) =>
      (await answerOf(service.ask(`/admin/dead-letters/${id}${query}`))).body.headers
    expect(await headers('?masked=true')).toEqual([
      { name: 'x-customer', bytes: 4, masked: true },
      { name: 'kafka_dlt-exception-message', bytes: 4, masked: true },
      { name: 'kafka_dlt-original-topic', text: 'Ivan' },
      { name: 'traceparent', text: 'Ivan' },
    ])
    expect(await headers('')).toEqual(names.map(name => ({ name, text: 'Ivan' })))
  })

  it('names the trace of its record, and where it can be looked at when somebody has it', async () => {
    const id = 'c'.repeat(32)
    const traceUrl = 'http://localhost:16686/trace/{trace_id}?of={trace_id}'
    const traceWith = async (traceparent: string | undefined, viewer: { traceUrl?: string } = { traceUrl }) => {
      await using service = await startAdmin({ inbox: viewer })
      const letter = service.inbox.add()
      const record = service.inbox.bytes.get(letter)
      if (record === undefined) throw new Error('it was just added')
      const headers = traceparent === undefined ? [] : [['traceparent', Buffer.from(traceparent)] as const]
      service.inbox.bytes.set(letter, { ...record, headers })
      return (await answerOf(service.ask(`/admin/dead-letters/${letter}?masked=true`))).body.trace
    }
    const sampled = `00-${id}-${'d'.repeat(16)}-01`
    const url = `http://localhost:16686/trace/${id}?of=${id}`
    expect(await traceWith(sampled)).toEqual({ id, sampled: true, url })
    expect(await traceWith(sampled, {})).toEqual({ id, sampled: true, url: null })
    expect(await traceWith(sampled.replace(/01$/, '00'))).toEqual({ id, sampled: false, url: null })
    expect(await traceWith(sampled.replace(/01$/, '03'))).toMatchObject({ sampled: true })
    expect(await traceWith('javascript:alert(1)')).toBeNull()
    expect(await traceWith(undefined)).toBeNull()
  })

  it('tells a record without value from one whose bytes are gone', async () => {
    await using service = await startAdmin()
    const tombstone = service.inbox.add({ value: null })
    const gone = service.inbox.add()
    const unplaced = service.inbox.add({ dlq_partition: null, dlq_offset: null })
    service.inbox.bytes.delete(gone)
    const of = async (id: string) => (await answerOf(service.ask(`/admin/dead-letters/${id}`))).body
    expect(await of(tombstone)).toMatchObject({ value: null, record_key: { text: 'x' } })
    expect(await of(tombstone)).not.toHaveProperty('value_gone')
    expect(await of(gone)).toMatchObject({ value: null, record_key: null, headers: [], value_gone: true })
    expect(await of(unplaced)).toMatchObject({ value: null, value_gone: true })
  })

  it('that does not exist is 404', async () => {
    await using service = await startAdmin()
    for (const id of ['orders-0-99', 'x', '%00', 'a%2Fb']) {
      expect(await answerOf(service.ask(`/admin/dead-letters/${id}`))).toMatchObject({
        status: 404,
        body: { code: 'dead_letter_not_found' },
      })
    }
  })

  it('cannot be shown while Kafka is away, and says so', async () => {
    const records = {
      // biome-ignore lint/correctness/useYield: it fails before the first one
      async *read() {
        throw new BrokerUnavailableError('no broker answers')
      },
    }
    await using service = await startAdmin({ inbox: { records } })
    const id = service.inbox.add()
    const response = await service.ask(`/admin/dead-letters/${id}`)
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await response.json()).toMatchObject({ code: 'broker_unavailable' })
    expect(service.inbox.log).toEqual([])
    // What the index knows is there all the same.
    const { status, body } = await answerOf(service.ask(`/admin/dead-letters/${id}?bytes=false`))
    expect([status, body.id, body.violations.length]).toEqual([200, id, 1])
    expect(body.history).toMatchObject([{ what: 'failed' }])
    for (const unknown of ['value', 'record_key', 'headers', 'trace']) expect(body).not.toHaveProperty(unknown)
    expect((await service.ask(`/admin/dead-letters/${id}?bytes=no`)).status).toBe(400)
  })
})

describe('a check', () => {
  it('counts who would pass now, and writes nothing', async () => {
    await using service = await startAdmin()
    const { inbox } = service
    const passing = inbox.add({ value: Buffer.from(JSON.stringify(modelOrder)) })
    const failing = inbox.add()
    const gone = inbox.add()
    inbox.bytes.delete(gone)
    const { body } = await answerOf(service.post('/admin/dead-letters/check', { q: 'state:open' }))
    expect(body).toMatchObject({ checked: 3, passing: 1, failing: 1, gone: 1, complete: true })
    expect(body.results.map(({ id, passes }: { id: string; passes: boolean }) => [id, passes])).toEqual([
      [gone, null],
      [failing, false],
      [passing, true],
    ])
    expect(body.results[1].violations.length).toBeGreaterThan(0)
    expect(inbox.log).toEqual([])
  })

  it('says when there were more than it looked at', async () => {
    await using service = await startAdmin()
    for (let n = 0; n < 3; n++) service.inbox.add()
    const check = async (limit: number) =>
      (await answerOf(service.post('/admin/dead-letters/check', { q: '', limit }))).body
    expect(await check(2)).toMatchObject({ checked: 2, complete: false })
    expect(await check(3)).toMatchObject({ checked: 3, complete: true, next: null })
  })

  it('goes on where it ended, in the order of the list', async () => {
    await using service = await startAdmin()
    const ids = Array.from({ length: 5 }, () => service.inbox.add())
    const seen: string[] = []
    let cursor: string | undefined
    for (let turns = 0; turns < 3; turns++) {
      const body = { q: 'state:open', limit: 2, sort: 'failed_at', ...(cursor === undefined ? {} : { cursor }) }
      const answer = await answerOf(service.post('/admin/dead-letters/check', body))
      seen.push(...answer.body.results.map(({ id }: { id: string }) => id))
      cursor = answer.body.next
    }
    expect([seen, cursor]).toEqual([ids, null])
    const wrong = await answerOf(service.post('/admin/dead-letters/check', { q: '', cursor: 'guessed' }))
    expect(wrong).toMatchObject({ status: 400, body: { code: 'bad_query' } })
  })
})

describe('a discard', () => {
  it('first says what it would do, then does it with the reason, and can be undone', async () => {
    await using service = await startAdmin()
    const { inbox } = service
    const [open, parked, resolved] = [inbox.add(), inbox.add({ state: 'parked' }), inbox.add({ state: 'resolved' })]
    const q = 'reason:schema_violation'
    const dry = await answerOf(service.post('/admin/dead-letters/discard', { q, because: 'test', dry_run: true }))
    expect(dry.body).toEqual({ discarded: 2, action: null, left_out: { not_open: 1 } })
    expect([inbox.rows.get(open)?.state, inbox.log]).toEqual(['open', []])

    const done = await answerOf(service.post('/admin/dead-letters/discard', { q, because: ' a test ' }))
    expect(done.body).toEqual({ discarded: 2, action: '1' })
    expect([open, parked, resolved].map(id => inbox.rows.get(id)?.state)).toEqual([
      'discarded',
      'discarded',
      'resolved',
    ])
    expect(inbox.log).toMatchObject([
      { who: 'chief', what: 'discard', filter: q, because: 'a test', counts: { discarded: 2 } },
    ])

    const undone = await answerOf(service.post('/admin/dead-letters/restore', { action: '1' }))
    expect(undone.body).toEqual({ restored: 2 })
    expect(inbox.rows.get(open)?.state).toBe('open')
  })

  it.each(['99', 'x', ''])('that never was cannot be undone: %j', async action => {
    await using service = await startAdmin()
    const answer = await answerOf(service.post('/admin/dead-letters/restore', { action }))
    expect(answer).toMatchObject({ status: 404, body: { code: 'no_such_action' } })
  })
})
