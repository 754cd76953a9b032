import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { expectDocumented } from '../support/openapi.ts'
import { anOrder } from '../support/orders.ts'
import { eventually, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const LIMIT_BYTES = 4_096
const TOTAL = 1_000

/** The largest first. What is no JSON may be no text, either. */
const GROUPS = [
  ['schema_violation', 'required', '/track_number', 600],
  ['malformed_json', 'not_utf8', '', 200],
  ['malformed_json', 'not_json', '', 100],
  ['too_large', 'max_bytes', '', 100],
] as const

/** The nth of a thousand: of three causes, in turn, so that each partition holds some of each. */
function nthValue(n: number): Buffer {
  const order = anOrder({ uid: `inbox-${n}` })
  if (n % 10 < 6) return Buffer.from(JSON.stringify({ ...order, track_number: undefined }))
  if (n % 10 < 9) return n % 2 === 0 ? Buffer.from([0x7b, 0xff, n % 256]) : Buffer.from(`{"n":${n}`)
  // Valid where records may be larger.
  return Buffer.from(JSON.stringify({ ...order, comment: 'x'.repeat(LIMIT_BYTES) }))
}

it('grouped by cause, turned page by page, shown byte for byte, checked, discarded and restored, with and without the service', async () => {
  const stream = await aStream()
  const key = 'operator-key'
  const service = await startService({
    ...stream,
    env: {
      RECORD_MAX_BYTES: String(LIMIT_BYTES),
      API_KEYS: `chief:admin:${createHash('sha256').update(key).digest('hex')}`,
    },
  })
  const started = Date.now()
  const at = await stream.produce(Array.from({ length: TOTAL }, (_, n) => ({ value: nthValue(n), partition: n % 3 })))
  const values = new Map(at.map(({ partition, offset }, n) => [`${stream.topic}-${partition}-${offset}`, nthValue(n)]))
  await eventually(async () => (await stream.settled()) === TOTAL, 'all being set aside')
  const api = operator(service, key)

  // By cause: three, with their counts, and when they were seen
  const { groups } = await api('GET', '/admin/dead-letters/groups')
  expect(groups.map(({ reason, error, pointer, count }: Group) => [reason, error, pointer, count])).toEqual(GROUPS)
  for (const { reason, states, count, first_seen, last_seen, sample } of groups as Group[]) {
    expect(reasonOf(values.get(sample.id))).toBe(reason)
    expect(states).toEqual({ open: count })
    expect(Date.parse(first_seen)).toBeGreaterThanOrEqual(started - 1_000)
    expect(Date.parse(last_seen)).toBeGreaterThanOrEqual(Date.parse(first_seen))
  }

  // Page by page: each once, latest failure first
  const listed: Letter[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: { dead_letters: Letter[]; next: string | null } = await api(
      'GET',
      `/admin/dead-letters?q=state:open&limit=137&cursor=${cursor}`,
    )
    listed.push(...page.dead_letters)
    cursor = page.next
  }
  expect(listed.map(({ id }) => id).sort()).toEqual([...values.keys()].sort())
  expect(listed.map(({ failed_at }) => failed_at)).toEqual(
    listed
      .map(({ failed_at }) => failed_at)
      .sort()
      .reverse(),
  )

  // One: its bytes as they were, and who looked at them; masked, nobody is named
  for (const { id } of [listed[0], listed[400], listed[999]] as Letter[]) {
    const { value } = await api('GET', `/admin/dead-letters/${id}`)
    expect(bytesOf(value)).toEqual(values.get(id))
  }
  const violating = listed.find(({ reason }) => reason === 'schema_violation') as Letter
  const masked = await api('GET', `/admin/dead-letters/${violating.id}?masked=true`)
  expect(masked.value.text).toContain(violating.order_uid)
  expect(masked.value.text).not.toContain('Test Testov')
  expect(masked).toMatchObject({ violations: [{ pointer: '/track_number', keyword: 'required' }] })
  const lost = await fetch(`${service.url}/order/${violating.order_uid}`, {
    headers: { Authorization: `Bearer ${key}` },
  })
  expect([lost.status, lost.headers.get('link')]).toEqual([404, `</admin?letter=${violating.id}>; rel="related"`])

  // Discarded and restored
  const discard = { q: 'reason:malformed_json', because: 'a test' }
  expect(await api('POST', '/admin/dead-letters/discard', { ...discard, dry_run: true })).toMatchObject({
    discarded: 300,
  })
  const { discarded, action } = await api('POST', '/admin/dead-letters/discard', discard)
  expect(discarded).toBe(300)
  expect(await api('GET', '/admin/stream')).toMatchObject({
    topic: stream.topic,
    dead_letters: { open: 700, by_reason: { schema_violation: 600, too_large: 100 } },
    checks: expect.arrayContaining([expect.objectContaining({ name: 'postgres', ok: true })]),
  })
  expect(await api('POST', '/admin/dead-letters/restore', { action })).toEqual({ restored: 300 })
  const { audit } = await api('GET', '/admin/audit')
  expect(audit.map(({ what, who }: { what: string; who: string }) => [what, who])).toEqual([
    ['restore', 'chief'],
    ['discard', 'chief'],
    ...Array.from({ length: 3 }, () => ['reveal', 'chief']),
  ])
  expect(await service.stop()).toBe(0)

  // Without the service: the command line says the same
  const cli = commandLine(stream)
  const stats = rows(await cli('dlq', 'stats', '--json'))
  expect(stats).toEqual(groups)
  const ls = rows(await cli('dlq', 'ls', 'state:open', '--limit', '2000', '--json')).map(
    ({ state_changed_at: _, ...row }) => row,
  )
  expect(ls.map(row => row.id)).toEqual(listed.map(({ id }) => id))
  const second = await cli('dlq', 'ls', '-reason:malformed_json', '--limit', '3')
  expect(second.stdout.toString().split('\n')).toHaveLength(5)
  expect(second.stderr).toMatch(/there are more: --cursor [A-Za-z0-9_-]+\n/)

  const binary = listed.find(({ id }) => values.get(id)?.[1] === 0xff) as Letter
  for (const { id } of [binary, violating]) {
    expect((await cli('dlq', 'show', id, '--reveal', '--raw')).stdout).toEqual(values.get(id))
  }
  expect((await cli('dlq', 'show', binary.id, '--reveal', '--hex')).stdout.toString()).toMatch(/^00000000 {2}7b ff /)
  expect((await cli('dlq', 'show', violating.id)).stdout.toString()).toMatch(
    /^> \{ {2}← required: track_number is missing$/m,
  )
  const noted = async () =>
    (await cli('audit', '--what', 'reveal', '--json')).stdout.toString().trim().split('\n').length
  const before = await noted()
  const shown = await cli('dlq', 'show', violating.id, '--json')
  expect(rows(shown)).toMatchObject([{ id: violating.id, order_uid: violating.order_uid, value: { masked: true } }])
  expect(shown.stdout.toString()).not.toContain('Test Testov')
  expect(shown.stderr).toContain('--reveal shows it')
  expect(await noted()).toBe(before)
  const revealed = await cli('dlq', 'show', violating.id, '--reveal', '--json')
  expect(revealed.stdout.toString()).toContain('Test Testov')
  expect(await noted()).toBe(before + 1)

  // The limit was raised: those would pass now, and only those
  const checks = rows(await cli('dlq', 'check', 'state:open', '--json'))
  expect(checks).toHaveLength(TOTAL)
  const tooLarge = new Set(listed.filter(({ reason }) => reason === 'too_large').map(({ id }) => id))
  expect(new Set(checks.filter(({ passes }) => passes).map(row => row.id))).toEqual(tooLarge)

  // A word is a key; a condition on the value is answered from the bytes in the topic; a list goes into a spreadsheet
  expect(rows(await cli('dlq', 'ls', violating.order_uid ?? '', '--json'))).toMatchObject([{ id: violating.id }])
  expect(rows(await cli('dlq', 'stats', 'value:/comment', '--json'))).toMatchObject([
    { reason: 'too_large', count: 100 },
  ])
  const csv = await cli('dlq', 'ls', `value:/order_uid=${violating.order_uid}`, '--csv')
  expect(csv.stdout.toString()).toMatch(/^id,state,.*\n.*\n$/)
  expect(csv.stdout.toString()).toContain(`\n${violating.id},open,`)
  expect(csv.stderr).toMatch(/searched 1,000 {2}1 found/)

  // All there is, and it is what was sent
  const exported = rows(await cli('dlq', 'export'))
  expect(new Map(exported.map(row => [row.id, bytesOf(row.value ?? {})]))).toEqual(values)
  expect(exported[0]).toMatchObject({ violations: expect.any(Array), headers: expect.any(Array), state: 'open' })

  const discardLarge = ['dlq', 'discard', 'reason:too_large', '--because', 'x'] as const
  await expect(cli(...discardLarge)).rejects.toMatchObject({ code: 2 })
  const states = () =>
    stream.query('SELECT state, count(*)::int AS n, max(state_changed_at) FROM holdfast.dead_letters GROUP BY 1')
  const untouched = await states()
  expect(untouched).toMatchObject([{ state: 'open', n: TOTAL }])
  expect(rows(await cli(...discardLarge, '--dry-run', '--json'))).toEqual([
    { discarded: 100, action: null, left_out: {} },
  ])
  expect(await states()).toEqual(untouched)
  const gone = rows(await cli(...discardLarge, '--yes', '--json'))
  expect(gone).toMatchObject([{ discarded: 100 }])
  expect(rows(await cli('dlq', 'restore', String(gone[0]?.action), '--json'))).toEqual([{ restored: 100 }])

  // A topic that is not there is no empty one
  const nowhere = commandLine(stream, { KAFKA_DLQ_TOPIC: 'nowhere' })
  await expect(nowhere('dlq', 'reindex')).rejects.toMatchObject({
    ...{ code: 1, stderr: expect.stringContaining('there is no topic nowhere') },
  })

  // The index is lost, and made anew from the topic, under the settings of the service
  await stream.query('TRUNCATE holdfast.dead_letters')
  const reindexed = rows(
    await commandLine(stream, { RECORD_MAX_BYTES: String(LIMIT_BYTES) })('dlq', 'reindex', '--json'),
  )
  expect(reindexed).toMatchObject([{ read: TOTAL, letters: TOTAL, added: TOTAL, written_by: { holdfast: TOTAL } }])
  expect(rows(await cli('dlq', 'ls', 'state:open', '--limit', '2000', '--json'))).toMatchObject(ls)
  expect(await stream.findings()).toEqual([])
})

interface Group {
  readonly reason: string
  readonly error: string
  readonly pointer: string
  readonly count: number
  readonly states: Record<string, number>
  readonly first_seen: string
  readonly last_seen: string
  readonly sample: { readonly id: string }
}

interface Letter {
  readonly id: string
  readonly reason: string
  readonly failed_at: string
  readonly order_uid: string
}

/** Why one of the thousand is set aside. */
function reasonOf(value: Buffer | undefined): string {
  if (value === undefined) return 'nobody sent it'
  if (value.length > LIMIT_BYTES) return 'too_large'
  return value.length < 100 ? 'malformed_json' : 'schema_violation'
}

function bytesOf(value: { text?: string; hex?: string; base64?: string }): Buffer {
  if (value.text !== undefined) return Buffer.from(value.text)
  return value.hex === undefined ? Buffer.from(value.base64 ?? '', 'base64') : Buffer.from(value.hex, 'hex')
}

/** Asks the service as the holder of a key, and holds each answer against its documentation. */
function operator(service: Service, key: string) {
  // biome-ignore lint/suspicious/noExplicitAny: JSON
  return async (method: string, path: string, body?: object): Promise<any> => {
    const response = await fetch(`${service.url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    await expectDocumented(method, new URL(`${service.url}${path}`), response)
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return await response.json()
  }
}

interface Ended {
  readonly stdout: Buffer
  readonly stderr: string
}

function commandLine(stream: Stream, settings: Readonly<Record<string, string>> = {}) {
  return (...args: readonly string[]): Promise<Ended> =>
    new Promise((resolve, reject) => {
      const env = {
        PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
        KAFKA_BROKERS: stream.brokers,
        KAFKA_TOPIC: stream.topic,
        KAFKA_DLQ_TOPIC: stream.dlqTopic,
        KAFKA_GROUP_ID: stream.groupId,
        DATABASE_URL: stream.databaseUrl,
        ...settings,
      }
      const options = { cwd: ROOT, env, encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 } as const
      execFile('bin/holdfast', args, options, (error, stdout, stderr) => {
        if (error === null) resolve({ stdout, stderr: stderr.toString() })
        else reject(Object.assign(error, { stderr: stderr.toString() }))
      })
    })
}

function rows({ stdout }: Ended): Record<string, never>[] {
  return stdout
    .toString()
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}
