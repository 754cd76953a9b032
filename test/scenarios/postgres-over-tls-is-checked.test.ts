import { expect, it } from 'vitest'
import { examine } from '#src/cli/doctor-checks.ts'
import { holdfast } from '../support/cli.ts'
import { generated } from '../support/model.ts'
import { securedPostgres } from '../support/secured-postgres.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

/** How soon a mistake is named, also on a machine that is busy with others: an outage is waited for without an end. */
const SOON_MS = 60_000

it('verify-full with an authority of its own settles records, and a certificate takes the place of a password', async () => {
  // Given a server whose certificate an own authority has signed
  const server = await securedPostgres()
  const url = server.url({ sslmode: 'verify-full', sslrootcert: server.ca })
  const stream = await aStream({ databaseUrl: url })
  await stream.produce(generated(30, { seed: 5 }))

  // When a service reaches it so, then its sessions are encrypted, and records flow
  const service = await startService(stream)
  await eventually(async () => (await stream.committed()) === 30, 'the records being committed')
  const sessions = await stream.query<{ ssl: boolean }>(
    `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'holdfast-%'`,
  )
  expect(sessions.length).toBeGreaterThan(0)
  expect(sessions.filter(({ ssl }) => !ssl)).toEqual([])
  expect(await service.stop()).toBe(0)

  // And when the server asks for a certificate, one in the URL is enough, without a password
  await server.requireCertificates()
  const { certificate, key } = server.client
  const without = new URL(
    server.url({ sslmode: 'verify-full', sslrootcert: server.ca, sslcert: certificate, sslkey: key }),
  )
  without.password = ''
  await stream.produce(generated(30, { seed: 6 }))
  const second = await startService({ ...stream, databaseUrl: without.href })
  await eventually(async () => (await second.metric('records_total')) === 30, 'the records with a certificate')
  await eventually(() => isReady(second), 'readiness')
  expect(await second.stop()).toBe(0)
})

it('a wrong authority, a wrong name, no TLS and no certificate are named within seconds, with what to do', async () => {
  const server = await securedPostgres()
  const stream = await aStream({ databaseUrl: server.postgres.url })
  const verify = { sslmode: 'verify-full' }
  const mistakes: [string, string, RegExp][] = [
    ['no authority', server.url(verify), /name the authority that signed the server: .*sslrootcert=FILE/i],
    ['another authority', server.url({ ...verify, sslrootcert: server.otherCa }), /name the authority that signed/i],
    [
      'another name',
      server.url({ ...verify, sslrootcert: server.ca }, 'localhost'),
      /name the server .* as its certificate does/i,
    ],
  ]
  for (const [what, databaseUrl, remedy] of mistakes) {
    await expectNamed({ ...stream, databaseUrl }, what, remedy)
  }

  // And a server that asks for a certificate, where none is given
  await server.requireCertificates()
  const databaseUrl = server.url({ ...verify, sslrootcert: server.ca })
  await expectNamed({ ...stream, databaseUrl }, 'no certificate of ours', /sslcert=FILE&sslkey=FILE/)
})

/** By the command that migrates, by doctor, and by a service, which ends rather than wait for what does not pass. */
async function expectNamed(stream: Stream, what: string, remedy: RegExp): Promise<void> {
  const startedMs = performance.now()
  const migrated = await holdfast(stream, 'migrate', 'status').then(
    () => 'it passed',
    (error: { stderr: string }) => error.stderr,
  )
  expect(migrated, what).toMatch(remedy)
  expect(performance.now() - startedMs, what).toBeLessThan(SOON_MS)
  const env = { KAFKA_BROKERS: stream.brokers, KAFKA_TOPIC: stream.topic, KAFKA_DLQ_TOPIC: stream.dlqTopic }
  const found = await Array.fromAsync(examine({ ...env, DATABASE_URL: stream.databaseUrl, HTTP_PORT: '0' }))
  expect(
    found.filter(({ ok, name }) => !ok && name === 'postgres').map(({ fix }) => fix),
    what,
  ).toEqual([expect.stringMatching(remedy)])
}
