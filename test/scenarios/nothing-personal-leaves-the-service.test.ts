import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { openDeadLetter } from '../support/dead-letters.ts'
import { anOrder } from '../support/orders.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { aHeader } from '../support/records.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, streamTools } from '../support/stream.ts'

streamTools()

/** Found nowhere by chance; each is a part of what is stored, refused, or asked for. */
const PERSONAL = {
  name: 'Zebulon Quixworth',
  cyrillic: 'Зебулон Квиксворт',
  phone: '+15550908172639',
  email: 'zebulon.q@quixworth-mail.example',
  address: 'Xylophone Alley 77b',
  city: 'Quixopolis',
  customer: 'customer-zq-4711',
  uid: 'uid-zq-0815',
} as const
/** Where Postgres lets nobody deliver to; and where it fails in a way that stops the service. */
const REFUSED = 'Refusalville'
const FATAL = 'Fatalville'

const ADMIN_KEY = 'key-of-the-admin'
const API_KEYS = `ops:admin:${createHash('sha256').update(ADMIN_KEY).digest('hex')}`

/** Who is named in a text, however that writes it. */
function namedIn(text: string): string[] {
  const decoded = [text, unescaped(text), decodedPercent(text)].join('\n').toLowerCase()
  return Object.values(PERSONAL).filter(personal => decoded.includes(personal.toLowerCase()))
}
const unescaped = (text: string) =>
  text.replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
const decodedPercent = (text: string) =>
  text.replaceAll('+', ' ').replace(/(?:%[0-9a-f]{2})+/gi, bytes => {
    return Buffer.from(bytes.replaceAll('%', ''), 'hex').toString('utf8')
  })

const { name, cyrillic, phone, email, address, city, customer, uid } = PERSONAL
const personal = (suffix: string, over: object = {}) => {
  const order = anOrder({ uid: `${uid}-${suffix}` })
  return {
    ...order,
    customer_id: customer,
    delivery: { ...order.delivery, name, phone, email, address, city, ...over },
  }
}
const json = (value: object) => JSON.stringify(value)

/** What no order may be, each with somebody's data where it goes wrong. */
function invalidRecords(): ProducedRecord[] {
  const good = personal('bad')
  const texts = [
    json(good).slice(0, -20),
    json(good).replace(`"${name}"`, `${name}`),
    json({ ...good, delivery: { ...good.delivery, name: { first: name } } }),
    json({ ...good, delivery: { ...good.delivery, email: `${name} ${email}` } }),
    json({ ...good, delivery: { ...good.delivery, phone: [phone] } }),
    json({ ...good, delivery: { ...good.delivery, zip: name.repeat(100) } }),
    json({ ...good, date_created: `${name}, ${address}` }),
    json({ ...good, order_uid: `${uid} ${name}` }),
    json({ ...good, payment: { ...good.payment, currency: cyrillic, amount: phone } }),
    json({ ...good, items: { [name]: email } }),
    json({ [name]: address, [email]: phone }),
    json([good]),
    json(name as unknown as object),
    `{"${name}": ${'['.repeat(64)}"${phone}"${']'.repeat(64)}}`,
  ]
  return [
    ...texts.map(value => ({ key: Buffer.from(uid), value, headers: [aHeader('sent-by', email)] })),
    { key: Buffer.from(email), value: Buffer.concat([Buffer.from(json(good)), Buffer.from([0xff])]) },
    { key: Buffer.from(phone), value: json({ ...good, note: name.repeat(5_000) }) },
    { key: Buffer.from(name), value: null },
  ]
}

it('in no log line, trace, metric, added header or error, however a record or a request is wrong', async () => {
  // Given a database that quotes the people of some orders in its errors, and a service that tells all that it can
  const stream = await aStream({ partitions: 1 })
  await stream.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.city = '${REFUSED}' THEN
        RAISE EXCEPTION 'no delivery to %', NEW.name USING ERRCODE = '23514', DETAIL = NEW.phone, HINT = NEW.email;
      ELSIF NEW.city = '${FATAL}' THEN
        RAISE EXCEPTION 'no function for %', NEW.name USING ERRCODE = 'undefined_function', DETAIL = NEW.address;
      END IF;
      RETURN NEW;
    END $$`)
  await stream.query('CREATE TRIGGER refuse BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION refuse()')
  await stream.query(`ALTER TABLE deliveries ADD CONSTRAINT not_named CHECK (name <> '${cyrillic}')`)
  const receiver = await startOtlpReceiver()
  const service = await startService({
    ...stream,
    env: {
      ...receiver.env,
      LOG_LEVEL: 'trace',
      OTEL_LOG_LEVEL: 'all',
      RECORD_MAX_BYTES: '65536',
      RETRY_INITIAL_MS: '1',
      RETRY_MAX_MS: '10',
      API_KEYS,
    },
  })
  await eventually(() => isReady(service), 'the service being ready')

  // When it is given orders that are right, wrong, and refused by the database
  const invalid = invalidRecords()
  const refused = [personal('refused', { city: REFUSED }), personal('named', { name: cyrillic })]
  const good = ['1', '2', '3'].map(suffix => personal(suffix))
  const orders = [...good, ...refused].map(order => ({ key: Buffer.from(order.order_uid), value: json(order) }))
  await stream.produce([...orders, ...invalid])
  const total = orders.length + invalid.length
  await eventually(async () => (await stream.settled()) === total, 'all of them being settled')

  // And is asked for them in every wrong way
  const errors = await wrongRequests(service.url)
  // And cannot read its own tables any more
  await stream.query('ALTER TABLE deliveries RENAME TO elsewhere')
  const broken = await ask(`${service.url}/orders?customer_id=${customer}`)
  expect(broken.status).toBe(500)
  errors.push(broken)
  await stream.query('ALTER TABLE elsewhere RENAME TO deliveries')

  const metrics = await Promise.all(
    ['text/plain', 'application/openmetrics-text'].map(async Accept => {
      return await (await fetch(`${service.url}/metrics`, { headers: { Accept } })).text()
    }),
  )
  await receiver.until('the failed request', ({ attributes }) => attributes['http.response.status_code'] === 500)
  // And meets an error that is no record's, and quotes one all the same
  await stream.produce([{ value: json(personal('fatal', { city: FATAL })) }])
  expect(await service.exited).toBe(1)

  // Then nobody is named in what it says
  const letters = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter)
  const index = await stream.query('SELECT reason, error, pointer, message, violations FROM holdfast.dead_letters')
  expect(letters).toHaveLength(invalid.length + refused.length)
  const said = {
    logs: service.output.join('\n'),
    traces: receiver.bodies.join('\n'),
    metrics: metrics.join('\n'),
    headers: letters.flatMap(({ added }) => added.map(([header, text]) => `${header}: ${text}`)).join('\n'),
    index: JSON.stringify(index),
    errors: errors.map(({ body, headers }) => `${headers}\n${body}`).join('\n'),
  }
  for (const [where, text] of Object.entries(said)) {
    // It has said something, and whoever is planted in it would be found.
    expect(text.length, where).toBeGreaterThan(1_000)
    expect(namedIn(`${text}${JSON.stringify({ planted: `at ${name}` })}`), where).toContain(name)
    expect(namedIn(text), where).toEqual([])
  }
  expect(said.logs).toContain('"dead_lettered"')
  expect(said.logs).toContain('"http_failed"')
  expect(said.logs).toContain('SQLSTATE 42883')
  expect(said.traces).toContain('orders_upsert')
})

interface Answer {
  readonly status: number
  readonly headers: string
  readonly body: string
}

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { Authorization: `Bearer ${ADMIN_KEY}`, 'User-Agent': email, ...init.headers }
  const response = await fetch(url, { redirect: 'manual', ...init, headers })
  const answered = [...response.headers].map(([header, value]) => `${header}: ${value}`).join('\n')
  return { status: response.status, headers: answered, body: await response.text() }
}

/** What a client gets wrong, with somebody's data in it. All of them are refused. */
async function wrongRequests(url: string): Promise<Answer[]> {
  const asked = encodeURIComponent(name)
  const post = (body: string | FormData, type?: string) =>
    ask(`${url}/orders/create`, { method: 'POST', body, headers: type === undefined ? {} : { 'Content-Type': type } })
  const form = new FormData()
  form.set('order_file', new Blob([`{"name": "${name}", `]), `${name}.json`)
  const otherForm = new FormData()
  otherForm.set(email, phone)
  const wrong = [
    ask(`${url}/order/${asked}`),
    ask(`${url}/order?uid=${asked}&${asked}=${asked}`),
    ask(`${url}/order/${uid}-unknown`),
    ask(`${url}/orders?customer_id=${asked}&cursor=${asked}`),
    ask(`${url}/orders?from=${asked}`),
    ask(`${url}/orders?limit=${asked}`),
    ask(`${url}/${asked}/${encodeURIComponent(email)}`),
    ask(`${url}/order/%ff${asked}`),
    ask(`${url}/order/x`, { headers: { Authorization: `Bearer ${email}` } }),
    ask(`${url}/order/x`, { headers: { traceparent: phone, Authorization: address } }),
    ask(`${url}/order/${uid}`, { method: 'DELETE' }),
    post(`{"delivery": {"name": ${name}`, 'application/json'),
    post(json(personal('wrong', { name: 5, email: `${name} ${email}`, phone: [phone] })), 'application/json'),
    post(json({ [name]: email, delivery: { [phone]: address } }), 'application/json'),
    post(json(personal('wrong')), `text/${name.replace(' ', '-')}`),
    post(form),
    post(otherForm),
    ask(`${url}/admin/dead-letters?cursor=${asked}`),
    ask(`${url}/admin/dead-letters?q=state:${asked}`),
    ask(`${url}/admin/dead-letters?q=reason:${asked}%20state:"${asked}`),
    ask(`${url}/admin/dead-letters/${asked}`),
  ]
  const answers = await Promise.all(wrong)
  for (const { status, body } of answers) expect([400, 401, 404, 405, 413, 415, 422], body).toContain(status)
  expect(answers.filter(({ status }) => status === 401)).toHaveLength(2)
  return answers
}
