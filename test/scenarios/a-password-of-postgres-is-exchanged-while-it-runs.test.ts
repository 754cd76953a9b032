import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { generated } from '../support/model.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

it('a password that changes at the server first is waited for, in its file, and sessions go on with the new one', async () => {
  // Given a service whose login is in a file
  const stream = await aStream()
  const role = `app_${Math.random().toString(36).slice(2)}`
  await stream.query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'first'`)
  // With the queue of jobs, which the service made as that user.
  onTestFinished(() => stream.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`).then(() => {}))
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-login-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'url')
  const login = (password: string) => {
    const url = new URL(stream.databaseUrl)
    url.username = role
    url.password = password
    writeFileSync(file, url.href, { mode: 0o600 })
  }
  login('first')
  const env = { DATABASE_URL: '', DATABASE_URL_FILE: file, RETRY_MAX_MS: '500' }
  const service = await startService({ ...stream, env })
  await stream.produce(generated(50, { seed: 8 }))
  await eventually(async () => (await stream.settled()) === 50, 'the first ones being settled')

  // When an administrator changes it, ends the sessions, and more comes
  await stream.query(`ALTER ROLE ${role} PASSWORD 'second'`)
  await stream.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [role])
  await stream.produce(generated(50, { seed: 9 }))

  // Then the stream waits and says for what, instead of ending
  await eventually(async () => {
    const { body } = await ask(service, '/readyz?verbose')
    return body.includes('refuses a password that it took before')
  }, 'readiness saying that the password is refused')

  // And once the file has the new one, it goes on by itself
  login('second')
  await eventually(async () => (await stream.committed()) === 100, 'all of it being committed')
  await eventually(() => isReady(service), 'readiness')
  expect(service.log.filter(({ event }) => event === 'stream_halted' || event === 'dead_lettered')).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})
