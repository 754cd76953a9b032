import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { document } from '../support/documents.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ROOT } from '../support/package.ts'
import { adminKeyOf, COMPILED, eventually, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'
import { createReader, type Reader, stepsOf } from '../support/walkthrough.ts'

streamTools()

const PAGE = 'docs/operations.md'
const LETTERS = 10_000
const SMALL = 1_024

/** Larger than the limit that was too small, some of them newer versions of earlier ones. */
const orders = generated(LETTERS * 2, { seed: 4711, updatesRatio: 0.1 })
  .filter(({ value }) => (value?.length ?? 0) > SMALL)
  .slice(0, LETTERS)

it('docs/operations.md: a start is checked, 10,000 letters are redriven, a partition is moved, and each time the proof holds', async () => {
  // Given a database without tables, and what stands there about a first start
  const stream = await aStream({ migrated: false, partitions: 6 })
  const reader = await operator(stream)
  const isServe = (script: string) => script.includes('bin/holdfast serve')
  const deploy = await followSection(reader, PAGE, 'Deploy', firstStart)
  expect(deploy.some(isServe)).toBe(true)

  // And 10,000 good records that are dead letters, because a limit was too small
  const storms = { DLQ_STORM_MAX_CONSECUTIVE: '0', DLQ_STORM_RATIO: '0' }
  const before = await startService({ ...stream, env: { ...storms, RECORD_MAX_BYTES: String(SMALL) } })
  await stream.produce(orders.map(({ key, value }) => ({ key, value })))
  await eventually(async () => (await stream.settled()) === LETTERS, 'all being set aside', 120_000)
  expect(await openLetters(stream)).toBe(LETTERS)
  expect(await before.stop()).toBe(0)

  // When the limit is right again, and an operator does what the page says
  const service = await startService(stream)
  await followSection(reader, PAGE, 'Redrive 10,000 letters safely', confirmed)

  // Then none is left, every order is stored in its newest version, and it was the operator
  expect(await openLetters(stream)).toBe(0)
  expect(await differences(stream, modelOf(orders))).toEqual([])
  expect(await stream.findings()).toEqual([])
  const audit = await stream.query<{ who: string }>(`SELECT DISTINCT who FROM holdfast.audit_log`)
  expect(audit).toEqual([{ who: 'ada' }])

  // And a partition that is moved back changes nothing
  const anHourAgo = new Date(Date.now() - 3_600_000).toISOString()
  await followSection(reader, PAGE, 'Move a partition', script => script.replace(/\d{4}-\d\d-\d\dT[\d:]+Z/, anHourAgo))
  await eventually(async () => (await stream.findings()).length === 0, 'the proof after the move')
  expect(await differences(stream, modelOf(orders))).toEqual([])

  // And the requests of the other page are answered: what they name by an id is not there, all else is
  const { port } = new URL(service.url)
  const key = await adminKeyOf(service)
  const requests = await followSection(
    reader,
    'docs/api.md',
    'Operators',
    script => `KEY='${key}'\n${script.replaceAll('8081', port).replaceAll('stream=returns', 'stream=orders')}`,
  )
  const answered = (await readFile(join(reader.folder, 'answered'), 'utf8')).trim().split('\n')
  expect(answered.length).toBe(requests.join('\n').match(/^curl /gm)?.length)
  expect(
    answered.filter(line => !line.startsWith('200 ')).map(line => line.replace(/^(\d+) .*\/admin\//, '$1 ')),
  ).toEqual(['404 dead-letters/orders-3-81723?masked=true', '404 dead-letters/causes/c1f0a9b2c3d4'])
  expect(await service.stop()).toBe(0)
})

/** A curl that notes how it was answered, and ends what would never end, which is a stream of events. */
const CURL = `#!/bin/sh
PATH=$CURL_PATH
case "$*" in */events*) most=15 ;; *) most=90 ;; esac
curl --max-time $most -o /dev/null -w '%{http_code} %{url}\\n' "$@" >>"$ANSWERED" || test $? = 28
`

/** `doctor` misses the tables that the next line makes; `serve` runs on. */
function firstStart(script: string): string {
  return script
    .replace('bin/holdfast doctor', 'bin/holdfast doctor || test $? = 1')
    .replace(/^bin\/holdfast serve.*$/m, '')
}

/** More than a hundred letters are confirmed by their number on a terminal; a script says `--yes`. */
function confirmed(script: string): string {
  return script.replace(/^holdfast dlq redrive (?!.*--dry-run).*$/gm, '$& --yes')
}

/** @returns its scripts, as they stand there */
async function followSection(
  reader: Reader,
  page: string,
  section: string,
  instead: (script: string) => string,
): Promise<string[]> {
  const scripts: string[] = []
  for (const step of stepsOf(document(page), section)) {
    if (step.kind !== 'command') continue
    scripts.push(step.script)
    await reader.follow({ ...step, script: instead(step.script) })
  }
  expect(scripts.length, section).toBeGreaterThan(0)
  return scripts
}

async function operator(stream: Stream): Promise<Reader & { readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-operator-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const name of ['bin', 'tools']) await mkdir(join(folder, name))
  await symlink(join(ROOT, 'bin/holdfast'), join(folder, 'bin/holdfast'))
  await writeFile(join(folder, 'tools/curl'), CURL, { mode: 0o755 })
  const paths = `${join(ROOT, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`
  const reader = createReader({
    folder,
    env: {
      PATH: `${join(folder, 'tools')}:${paths}`,
      CURL_PATH: paths,
      ANSWERED: join(folder, 'answered'),
      NO_COLOR: '1',
      OPERATOR: 'ada',
      KAFKA_BROKERS: stream.brokers,
      KAFKA_TOPIC: stream.topic,
      KAFKA_DLQ_TOPIC: stream.dlqTopic,
      KAFKA_GROUP_ID: stream.groupId,
      DATABASE_URL: stream.databaseUrl,
      HTTP_PORT: '0',
      ...COMPILED,
    },
  })
  return { ...reader, folder }
}

async function openLetters(stream: Stream): Promise<number> {
  const [row] = await stream.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM holdfast.dead_letters WHERE state = 'open'`,
  )
  return row?.n ?? 0
}
