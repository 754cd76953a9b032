import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { BrokerUnavailableError, RecordTooLargeError, StoreUnavailableError } from '#src/engine/errors.ts'
import type { Origin } from '#src/engine/record.ts'
import type { RecordOutcome, RecordOutcomes } from '#src/read/ports.ts'
import { patientClock, UPLOAD_BYTES } from '../../support/http-parts.ts'
import { modelOrder } from '../../support/orders.ts'
import { ORDER, type Service, startService, UID } from './support.ts'

const SAMPLE = readFileSync(new URL('../../../data/model.json', import.meta.url))
const JSON_TYPE = { 'Content-Type': 'application/json' }
const PUBLISHED_AT: Origin = { topic: 'orders', partition: 2, offset: 41n, timestampMs: 1_000 }

function aForm(content: Uint8Array<ArrayBuffer> | string, name = 'order_file'): FormData {
  const form = new FormData()
  form.set(name, new Blob([content]), 'order.json')
  return form
}

/** What is known of the record, one look after the other, as the list says; then the last for ever. */
function looks(...found: readonly (RecordOutcome['kind'] | Error)[]): RecordOutcomes & { count: number } {
  const outcomes = {
    count: 0,
    async outcomeOf(): Promise<RecordOutcome> {
      const kind = found[Math.min(outcomes.count++, found.length - 1)] ?? 'pending'
      if (kind instanceof Error) throw kind
      return kind === 'dead_lettered' ? { kind, reason: 'store_rejected', error: '23514' } : { kind }
    },
  }
  return outcomes
}

const publishedAt = { publish: async () => PUBLISHED_AT }

describe('an order that is sent in', () => {
  it.each<[string, (service: Service) => Promise<Response>]>([
    ['as JSON', service => service.create(SAMPLE, JSON_TYPE)],
    [
      'as JSON with its charset',
      service => service.create(SAMPLE, { 'Content-Type': 'application/json; charset=UTF-8' }),
    ],
    ['as the file of a form', service => service.create(aForm(SAMPLE))],
  ])('is published byte for byte and answered once it is stored: %s', async (_how, send) => {
    await using service = await startService()
    const response = await send(service)
    expect(response.status).toBe(201)
    expect(response.headers.get('location')).toBe(`/order/${UID}`)
    expect(await response.json()).toEqual({
      order_uid: UID,
      status: 'stored',
      topic: 'orders',
      partition: 0,
      offset: '0',
    })
    expect(service.orders.published).toEqual([{ uid: UID, value: SAMPLE }])
  })

  it('is read back from where the answer says, whatever was remembered of it', async () => {
    const { outcomes, intake, stored } = await import('../../support/http-parts.ts').then(parts => parts.memoryOrders())
    await using service = await startService({ read: async uid => stored.get(uid), orders: { outcomes, intake } })
    // "No such order" is remembered for a moment.
    expect((await service.get(`/order/${UID}`)).status).toBe(404)
    const { headers } = await service.create(SAMPLE, JSON_TYPE)
    const response = await service.get(headers.get('location') ?? '')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual(modelOrder)
  })

  it('is waited for until its own record is settled', async () => {
    const outcomes = looks('pending', 'pending', 'pending', 'stored')
    await using service = await startService({ orders: { outcomes, intake: publishedAt } })
    expect((await service.create(SAMPLE, JSON_TYPE)).status).toBe(201)
    expect(outcomes.count).toBe(4)
  })

  it('is not called stored when a newer version is what is stored', async () => {
    await using service = await startService({ orders: { outcomes: looks('overtaken'), intake: publishedAt } })
    const response = await service.create(SAMPLE, JSON_TYPE)
    expect(response.status).toBe(409)
    expect(response.headers.get('location')).toBe(`/order/${UID}`)
    expect(await response.json()).toMatchObject({ code: 'newer_version_stored', errors: [] })
  })

  it('is not called accepted when it has become a dead letter', async () => {
    await using service = await startService({ orders: { outcomes: looks('dead_lettered'), intake: publishedAt } })
    const response = await service.create(SAMPLE, JSON_TYPE)
    expect(response.status).toBe(422)
    expect(await response.json()).toMatchObject({ code: 'store_rejected', detail: expect.stringContaining('23514') })
  })

  it.each([
    ['is not stored', looks('pending')],
    ['cannot be looked for', looks(new StoreUnavailableError('connect ECONNREFUSED'))],
  ])('is accepted, and safe in the topic, when it %s within five seconds', async (_why, outcomes) => {
    const clock = patientClock()
    await using service = await startService({ clock, orders: { outcomes, intake: publishedAt } })
    const response = await service.create(SAMPLE, JSON_TYPE)
    expect(response.status).toBe(202)
    expect(response.headers.get('location')).toBe(`/order/${UID}`)
    expect(await response.json()).toMatchObject({ status: 'accepted', partition: 2, offset: '41' })
    expect(clock.monotonic()).toBeGreaterThan(5_000)
    // Bounded: a few looks a second.
    expect(outcomes.count).toBeLessThan(40)
  })

  it('is looked for once more when the time is over: the process may have stood still meanwhile', async () => {
    let nowMs = 0
    const clock = {
      monotonic: () => nowMs,
      async sleep() {
        nowMs += 60_000
      },
    }
    await using service = await startService({ clock, orders: { outcomes: looks('stored'), intake: publishedAt } })
    expect((await service.create(SAMPLE, JSON_TYPE)).status).toBe(201)
  })

  it('is not waited for when the caller prefers so', async () => {
    const outcomes = looks('pending')
    await using service = await startService({ orders: { outcomes, intake: publishedAt } })
    const response = await service.create(SAMPLE, { ...JSON_TYPE, Prefer: 'wait=1, respond-async' })
    expect(response.status).toBe(202)
    expect(response.headers.get('preference-applied')).toBe('respond-async')
    expect(outcomes.count).toBe(0)
  })

  it('is answered at once when the service begins to stop', async () => {
    const looked = Promise.withResolvers<void>()
    const outcomes: RecordOutcomes = {
      outcomeOf: async () => {
        looked.resolve()
        return { kind: 'pending' }
      },
    }
    const clock = {
      monotonic: () => 0,
      sleep: (ms: number, signal?: AbortSignal) =>
        new Promise<void>(resolve => {
          if (ms <= 10 || signal?.aborted === true) resolve()
          else signal?.addEventListener('abort', () => resolve())
        }),
    }
    await using service = await startService({ clock, orders: { outcomes, intake: publishedAt } })
    const answered = service.create(SAMPLE, JSON_TYPE)
    await looked.promise
    await service.server.close()
    expect((await answered).status).toBe(202)
  })
})

describe('what is no order', () => {
  it('is refused with every rule that it breaks, and never published', async () => {
    await using service = await startService()
    const { order_uid: _, ...rest } = modelOrder
    const payment = { ...modelOrder.payment, amount: '1817', currency: 'usd' }
    const response = await service.create(JSON.stringify({ ...rest, payment }), JSON_TYPE)
    expect(response.status).toBe(422)
    const { code, errors } = (await response.json()) as { code: string; errors: { pointer: string; message: string }[] }
    expect(code).toBe('schema_violation')
    expect(errors.map(({ pointer }) => pointer).sort()).toEqual(['/order_uid', '/payment/amount', '/payment/currency'])
    expect(errors.find(({ pointer }) => pointer === '/order_uid')?.message).toBe('is missing')
    expect(service.orders.published).toEqual([])
  })

  it.each([
    ['words', 'Dear Sir or Madam', /not JSON.*begins with/],
    ['an image', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff]), /not text, but perhaps an image/],
    ['nothing', '', /Nothing was sent/],
    ['half an order', '{"order_uid": "a",', /not JSON/],
  ])('is told to a person in a sentence: %s', async (_what, content, words) => {
    await using service = await startService()
    const response = await service.create(aForm(content))
    expect(response.status).toBe(422)
    const { detail, errors } = (await response.json()) as { detail: string; errors: object[] }
    expect(detail).toMatch(words)
    expect(errors).toEqual([{ pointer: '', message: expect.any(String) }])
    expect(service.orders.published).toEqual([])
  })

  it('leaves what was sent out of the answer', async () => {
    await using service = await startService()
    const hostile = { ...modelOrder, delivery: { ...modelOrder.delivery, email: 'secret<script>', phone: 5 } }
    const text = await (await service.create(JSON.stringify(hostile), JSON_TYPE)).text()
    expect(text).toContain('/delivery/email')
    expect(text).not.toContain('secret')
  })
})

describe('what cannot be read', () => {
  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=latin1', 'application/jsonx'])(
    'is refused by its type: %s',
    async type => {
      await using service = await startService()
      const response = await service.create(SAMPLE, { 'Content-Type': type })
      expect(response.status).toBe(415)
      expect(response.headers.get('accept')).toBe('application/json, multipart/form-data')
    },
  )

  it('is refused when it is compressed', async () => {
    await using service = await startService()
    expect((await service.create(SAMPLE, { ...JSON_TYPE, 'Content-Encoding': 'gzip' })).status).toBe(415)
  })

  it('may be as large as the limit, and not a byte more, however it comes', async () => {
    await using service = await startService()
    const padded = (bytes: number) => Buffer.concat([SAMPLE, Buffer.alloc(bytes - SAMPLE.length, ' ')])
    expect((await service.create(padded(UPLOAD_BYTES), JSON_TYPE)).status).toBe(201)
    expect((await service.create(aForm(padded(UPLOAD_BYTES)))).status).toBe(201)
    expect((await service.create(padded(UPLOAD_BYTES + 1), JSON_TYPE)).status).toBe(413)
    expect((await service.create(aForm(padded(UPLOAD_BYTES + 1)))).status).toBe(413)
    expect((await service.create(aForm(padded(4 * UPLOAD_BYTES)))).status).toBe(413)
  })

  it('is refused when no length was announced, too, and cut off when it never ends', async () => {
    await using service = await startService()
    const endless = (): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const chunk = Buffer.alloc(1 << 20, ' ')
        let answered = false
        const sending = request(`${service.url}/orders/create`, { method: 'POST', headers: JSON_TYPE }, response => {
          answered = true
          response.resume()
          resolve({ status: response.statusCode, connection: response.headers.connection })
        })
        // Who goes on sending into a connection that was closed may see that before he sees the answer.
        sending.on('error', (error: NodeJS.ErrnoException) => {
          if (error.code === 'EPIPE' || error.code === 'ECONNRESET') resolve('cut off')
          else if (!answered) reject(error)
        })
        const send = (): void => void (answered || sending.write(chunk, send))
        send()
      })
    expect([{ status: 413, connection: 'close' }, 'cut off']).toContainEqual(await endless())
    expect(service.orders.published).toEqual([])
  })

  it.each<[string, () => FormData]>([
    ['without a file', () => new FormData()],
    ['with a file of another name', () => aForm(SAMPLE, 'file')],
    [
      'with two files',
      () => {
        const form = aForm(SAMPLE)
        form.append('order_file', new Blob([SAMPLE]), 'second.json')
        return form
      },
    ],
    [
      'with the order in a field',
      () => {
        const form = new FormData()
        form.set('order_file', SAMPLE.toString())
        return form
      },
    ],
  ])('is refused as a form %s', async (_how, form) => {
    await using service = await startService()
    const response = await service.create(form())
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('form') })
    expect(service.orders.published).toEqual([])
  })

  it.each([
    ['has no boundary', 'multipart/form-data', ''],
    ['has no boundary in its type', 'multipart/form-data; charset=utf-8', 'x'],
    [
      'ends in the middle',
      'multipart/form-data; boundary=b',
      '--b\r\nContent-Disposition: form-data; name="order_file"; filename="x"\r\n\r\n{',
    ],
    ['is no form', 'multipart/form-data; boundary=b', 'something else'],
  ])('is refused as a form that %s', async (_how, type, body) => {
    await using service = await startService()
    const response = await service.create(body, { 'Content-Type': type })
    expect([400, 415]).toContain(response.status)
    expect(service.orders.published).toEqual([])
  })
})

describe('a form', () => {
  const DISPOSITION = 'Content-Disposition: form-data; name="order_file"; filename="x"'
  const FORM = { 'Content-Type': 'multipart/form-data; boundary=b' }
  const file = (content: string, disposition = DISPOSITION) => `--b\r\n${disposition}\r\n\r\n${content}\r\n`

  it.each([
    ['with words before and after it', `before\r\n${file(SAMPLE.toString())}--b--\r\nafter`],
    ['with a file name in another script', file(SAMPLE.toString(), DISPOSITION.replace('"x"', '"заказ.json"'))],
    ['with a file name that has a path', file(SAMPLE.toString(), DISPOSITION.replace('"x"', '"C:\\\\temp\\\\x"'))],
    ['with an encoded file name', file(SAMPLE.toString(), `${DISPOSITION}; filename*=utf-8''%D0%B7.json`)],
    ['with a part that names nothing', `--b\r\n\r\nnothing\r\n${file(SAMPLE.toString())}`],
    [
      'with fields beside the file',
      `--b\r\nContent-Disposition: form-data; name="note"\r\n\r\n1\r\n${file(SAMPLE.toString())}`,
    ],
  ])('is read %s', async (_how, body) => {
    await using service = await startService()
    const response = await service.create(body.endsWith('after') ? body : `${body}--b--\r\n`, FORM)
    expect(response.status).toBe(201)
  })

  it('is answered wherever it is cut off', async () => {
    await using service = await startService()
    const whole = Buffer.from(`${file('{"order_uid": 1}')}--b--\r\n`)
    // All but the line break at its end, which nobody needs.
    for (let length = 0; length < whole.length - 2; length += 7) {
      const { status } = await service.create(whole.subarray(0, length), FORM)
      expect(status, `${length} bytes of ${whole.length}`).toBe(400)
    }
    expect((await service.create(whole, FORM)).status).toBe(422)
  })

  it('is refused when it has more files than are looked at', async () => {
    await using service = await startService()
    const other = file('{}', DISPOSITION.replace('order_file', 'other'))
    const response = await service.create(`${other.repeat(20)}${file(SAMPLE.toString())}--b--\r\n`, FORM)
    expect(response.status).toBe(400)
    expect(service.orders.published).toEqual([])
  })
})

describe('when Kafka does not take it', () => {
  it('is no outage when the topic takes no record of that size', async () => {
    const publish = () => Promise.reject(new RecordTooLargeError('the topic orders takes no record of this size'))
    await using service = await startService({ orders: { intake: { publish } } })
    const response = await service.create(SAMPLE, JSON_TYPE)
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({
      code: 'too_large',
      detail: expect.stringContaining('max.message.bytes'),
    })
  })

  it('says when to try again, and that it may be sent twice', async () => {
    const publish = () => Promise.reject(new BrokerUnavailableError('Local: Message timed out'))
    await using service = await startService({ orders: { intake: { publish } } })
    const response = await service.create(SAMPLE, JSON_TYPE)
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('5')
    expect(await response.json()).toMatchObject({ code: 'broker_unavailable' })
  })
})

it('leaves the address to POST alone', async () => {
  await using service = await startService()
  service.put({ ...ORDER, key: 'create' })
  const response = await service.get('/orders/create')
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
})
