import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { verifyStream } from '#src/cli/proof.ts'
import { loadConfig } from '#src/settings/config.ts'
import { loadStreams } from '#src/settings/streams.ts'
import { holdfast } from '../support/cli.ts'
import { failing } from '../support/redrives.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'
import { aReturn, someReturns } from '../support/two-streams.ts'

streamTools()

const CONFIG = fileURLToPath(new URL('../support/schemas.config.ts', import.meta.url))
/** The schema of each stream, as SQL writes it. */
const SCHEMAS = { returns: 'shop', repairs: '"Work Shop"' } as const
/** Tables of other programs, which the search path finds: in `public`, and in the schema that has the name of the user. */
const DECOYS = ['holdfast.returns', 'public.returns', 'public.return_lines']
/** The schema lets it through; only the constraint of this test does not. */
const POISON = { ...aReturn(0), return_id: 'poison', reason: 'forbidden by the column' }

it('two streams of the same tables, each in a schema of its own, go past what the search path finds: made, written, read, redriven, proven, taken back', async () => {
  // Given tables of the same names where the search path leads, and a database that has none in the schemas of the streams
  const returns = await aStream({ partitions: 2 })
  const repairs = await aStream({ partitions: 2, databaseUrl: returns.databaseUrl, migrated: false })
  const { query } = returns
  const env = environment(returns, repairs)
  const run = (...args: readonly string[]) => holdfast({ ...returns, env }, ...args)
  await query(`ALTER DATABASE ${new URL(returns.databaseUrl).pathname.slice(1)} SET search_path = "$user", public`)
  for (const table of DECOYS)
    await query(`CREATE TABLE ${table} (theirs text); INSERT INTO ${table} VALUES ('untouched')`)

  // When the tables are made of the SQL that the command prints, after it has said what is found elsewhere
  const before = await failing(run('stream', 'check', 'returns'))
  expect(before).toMatchObject({ code: 1 })
  expect(before.stdout).toContain(
    'the database has none of shop.returns, shop.return_lines; search_path finds returns in the',
  )
  expect(before.stdout).toContain(
    "return_lines in the schema public, which no statement looks through: if it is meant, the definition needs tablesIn: 'public'",
  )
  const undo: string[] = []
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    const { stdout, stderr } = await run('stream', 'migration', name)
    expect(stdout).toContain(
      `-- Up Migration\n\nCREATE SCHEMA IF NOT EXISTS ${schema};\n\nCREATE TABLE ${schema}.returns (`,
    )
    expect(stderr).toContain('search_path finds')
    const [up = '', down = ''] = stdout.split('-- Down Migration')
    await query(up)
    undo.push(down)
    expect((await run('stream', 'migration', name)).stderr).toContain('nothing to do')
    expect((await run('stream', 'check', name)).stdout).toContain('are as the definition needs them\n')
  }

  // And values come that are new (COPY), that are known and shorter (upsert, and what is left over goes), and one that only Postgres refuses
  for (const schema of Object.values(SCHEMAS)) {
    await query(`ALTER TABLE ${schema}.returns ADD CONSTRAINT only_in_this_test CHECK (reason <> '${POISON.reason}')`)
  }
  const shorter = { ...aReturn(8), lines: aReturn(0).lines }
  const service = await startService({ ...returns, env })
  for (const stream of [returns, repairs]) {
    await stream.produce(someReturns(0, 200))
    await stream.produce(
      [shorter, POISON].map(value => ({ key: Buffer.from(value.return_id), value: JSON.stringify(value) })),
    )
    await eventually(async () => (await stream.committed()) === 202, 'all being settled')
  }
  await eventually(() => isReady(service), 'readiness')

  // Then both are read from their own tables, by COPY and upsert alike
  expect(service.log.filter(({ event }) => event === 'copy_unavailable')).toEqual([])
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    expect(JSON.parse((await ask(service, `/${name}/return-199`)).body)).toEqual(aReturn(199))
    expect(JSON.parse((await ask(service, `/${name}/return-8`)).body)).toEqual(shorter)
    expect(JSON.parse((await ask(service, `/${name}?limit=5`)).body).values).toHaveLength(5)
    expect(await query(`SELECT count(*)::int AS n FROM ${schema}.return_lines WHERE return_id = 'return-8'`)).toEqual([
      { n: 1 },
    ])
    expect(await query(`SELECT count(*)::int AS n FROM ${schema}.returns`)).toEqual([{ n: 200 }])
  }

  // And the dead letter of each is redriven into its own table, after the index of one was lost and read again
  await query(`DELETE FROM holdfast.dead_letters WHERE stream = 'repairs'`)
  await run('dlq', 'reindex', '--stream', 'repairs')
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    await query(`ALTER TABLE ${schema}.returns DROP CONSTRAINT only_in_this_test`)
    await run('dlq', 'redrive', 'state:open', '--stream', name, '--yes')
    expect(JSON.parse((await ask(service, `/${name}/poison`)).body)).toEqual(POISON)
  }

  // And the proof finds nothing, value for value; the doctor neither
  const config = loadConfig(env)
  for (const stream of await loadStreams(config, env)) {
    for (const how of [{ full: true }, { deep: () => {} }, {}]) {
      const { findings, unasked } = await verifyStream(config, stream, how)
      expect([...findings, ...unasked], stream.name).toEqual([])
    }
  }
  expect((await run('doctor')).stdout).toContain('shop.returns, shop.return_lines are as its definition needs them')
  expect(await service.stop()).toBe(0)

  // And the way back takes the tables of the streams, and nothing else
  for (const down of undo) await query(down)
  const left = await query(
    `SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname IN ('shop', 'Work Shop')`,
  )
  expect(left).toEqual([])
  for (const table of DECOYS)
    expect(await query(`SELECT theirs FROM ${table}`), table).toEqual([{ theirs: 'untouched' }])
})

function environment(returns: Stream, repairs: Stream): Record<string, string> {
  return {
    HOLDFAST_CONFIG: CONFIG,
    KAFKA_BROKERS: returns.brokers,
    DATABASE_URL: returns.databaseUrl,
    RETURNS_TOPIC: returns.topic,
    RETURNS_DLQ_TOPIC: returns.dlqTopic,
    RETURNS_GROUP_ID: returns.groupId,
    REPAIRS_TOPIC: repairs.topic,
    REPAIRS_DLQ_TOPIC: repairs.dlqTopic,
    REPAIRS_GROUP_ID: repairs.groupId,
  }
}
