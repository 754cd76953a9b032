import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import type { SourceRecord } from '#src/engine/record.ts'
import { visitsOf } from '../browser/console-pages.ts'
import { launchBrowser } from '../browser/support.ts'
import { holdfast } from '../support/cli.ts'
import { installPacked, pack, ROOT, run } from '../support/package.ts'
import { sampleReturns, someReturns, storedReturns } from '../support/returns-records.ts'
import { adminKeyOf, ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const RECORDS = 10_000

it('from the package and a sample to tables, dead letters, answers and a proof, also when the process is killed half-way', async () => {
  // Given an empty folder that installs the package, and the files that one command makes of two samples
  const project = await mkdtemp(join(tmpdir(), 'holdfast-team-'))
  onTestFinished(() => rm(project, { recursive: true, force: true }))
  await installPacked((await pack(project)).tarball, project)
  const installed = await fingerprintOf(join(project, 'node_modules/holdfast'))
  // Other tests share the broker: in a topic called returns there might be anything.
  const name = `returns_${randomUUID().slice(0, 8)}`
  const group = `team-${name}`
  const names = { topic: name, dlqTopic: `${name}.dlq`, groupId: `${group}-${name}` }
  const stream = await aStream({ names, migrated: false })
  const env = { KAFKA_GROUP_ID: group }
  const command = (...args: readonly string[]) => holdfast({ ...stream, env, project }, ...args)
  await writeFile(join(project, 'sample.json'), JSON.stringify(sampleReturns()))
  await command('stream', 'init', name, '--from', 'sample.json')
  await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project], { cwd: project })
  await command('migrate', 'up')
  expect((await command('stream', 'check')).stderr).toBe('no differences\n')

  // When the service is killed while it works, and started again
  const { records, newest, invalid } = someReturns(RECORDS, 12, 0.02, 0.1)
  const start = () => startService({ ...stream, env, project })
  const first = await start()
  // (The last of them come after the kill: however late that is, there is something left to do.)
  const sent = stream.produce(records.slice(0, -RECORDS / 10))
  await eventually(async () => (await stream.settled()) > 0, 'the first records being settled', 60_000, 5)
  first.kill('SIGKILL')
  expect(await first.exited).toBe(137)
  const settledBefore = await stream.settled()
  expect(settledBefore).toBeLessThan(RECORDS)
  await sent
  await stream.produce(records.slice(-RECORDS / 10))
  const service = await start()
  await eventually(async () => (await stream.committed()) === RECORDS, 'all being settled and committed')
  await eventually(() => isReady(service), 'its being ready')

  // Then the tables hold the newest valid version of each return, and nothing else
  const stored = await storedReturns(stream, name)
  expect(stored.size).toBe(newest.size)
  expect([...newest].filter(([key, value]) => !isDeepStrictEqual(stored.get(key), value))).toEqual([])

  // And the dead-letter topic holds exactly what is invalid; what was in flight at the kill may be there twice, under one id
  const letters = await stream.readAll(names.dlqTopic)
  const byId = new Map(letters.map(letter => [idOf(letter), letter.value]))
  expect(texts([...byId.values()])).toEqual(texts(invalid))
  expect(
    await stream.query('SELECT count(*)::int AS letters FROM holdfast.dead_letters WHERE stream = $1', [name]),
  ).toEqual([{ letters: invalid.length }])

  // And each is read back as it was sent, alone and in a list
  for (const [key, value] of [...newest].slice(0, 50)) expect(await get(service, `/${name}/${key}`)).toEqual(value)
  const { values } = await get(service, `/${name}?limit=2`)
  expect(values.map((value: { return_id: string }) => newest.get(value.return_id))).toEqual(values)
  expect((await get(service, '/streams')).streams).toMatchObject([{ name, route: `/${name}` }])

  // And the proof holds, and says of what
  const proof = await command('verify', '--deep')
  expect(proof.stderr).toContain(`ok: stream ${name}, 10,000 records, each accounted for`)

  // And the console shows it
  const browser = await launchBrowser()
  onTestFinished(() => browser.close())
  await visitsOf(browser, service.url, await adminKeyOf(service)).visit(`/admin?stream=${name}`, page =>
    page.getByText(`${invalid.length} dead letters are open`).waitFor(),
  )

  // And all of it without a change to the package
  expect(await fingerprintOf(join(project, 'node_modules/holdfast'))).toBe(installed)
  expect(await service.stop()).toBe(0)
})

async function get(service: Service, path: string) {
  const { status, body } = await ask(service, path)
  expect(status, body).toBe(200)
  return JSON.parse(body)
}

function idOf({ headers }: SourceRecord): string | undefined {
  return headers.find(([name]) => name === 'holdfast.id')?.[1]?.toString()
}

/** In an order that does not depend on where they were sent. */
function texts(values: readonly (Buffer | null)[]): string[] {
  return values.map(String).sort()
}

/** Of every file below a folder, its path and its bytes. */
async function fingerprintOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  const hash = createHash('sha256')
  for (const path of paths.sort()) hash.update(`${path}\0`).update(await readFile(path))
  return hash.digest('hex')
}
