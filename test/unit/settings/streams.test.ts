import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError, UsageError } from '#src/engine/errors.ts'
import { loadConfig } from '#src/settings/config.ts'
import { loadStreams, prepareStreams, streamNamed } from '#src/settings/streams.ts'
import { orders } from '#src/streams/orders/definition.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'streams-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

function load(env: Record<string, string> = {}, only?: readonly string[]) {
  return loadStreams(loadConfig(env), env, { cwd, only })
}

async function failureOf(loading: Promise<unknown>): Promise<string> {
  const error = await loading.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(UsageError)
  return error instanceof ConfigError ? error.problems.join('\n') : String((error as Error).message)
}

/** By Node itself: the runner of the tests has an `import()` of its own, with other words. */
function failureInNode(): string {
  const [config, streams] = ['config', 'streams'].map(name => import.meta.resolve(`#src/settings/${name}.ts`))
  const code = `
    import { loadConfig } from ${JSON.stringify(config)}
    import { loadStreams } from ${JSON.stringify(streams)}
    const loading = loadStreams(loadConfig({}), {}, { cwd: ${JSON.stringify(cwd)} })
    process.stdout.write(await loading.then(() => 'loaded', error => error.message))`
  return execFileSync(process.execPath, ['--input-type=module', '--eval', code], { encoding: 'utf8' })
}

describe('without a file', () => {
  it('orders is the only stream, under the names of its settings', async () => {
    const env = { KAFKA_TOPIC: 'purchases', KAFKA_GROUP_ID: 'team-a' }
    const streams = await load(env)
    expect(streams).toMatchObject([
      { name: 'orders', topic: 'purchases', dlqTopic: 'orders.dlq', groupId: 'team-a', route: 'orders' },
    ])
  })

  it('without any setting it has the names that the contract gives', async () => {
    expect(await load()).toMatchObject([{ topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast' }])
  })

  it('a topic that is also the dead-letter topic is refused', async () => {
    const env = { KAFKA_TOPIC: 'same' }
    expect(await failureOf(loadStreams(loadConfig(env), { ...env, KAFKA_DLQ_TOPIC: 'same' }, { cwd }))).toBe(
      'same is the topic of orders and the dead-letter topic of orders: it must be one of them only',
    )
  })
})

it.each<[string, Record<string, string>, string]>([
  ['holdfast', {}, "Holdfast's own tables (PG_SCHEMA)"],
  ['pgboss', {}, 'the queues of jobs'],
  ['team_a', { PG_SCHEMA: 'team_a' }, "Holdfast's own tables (PG_SCHEMA)"],
  ['team_a_jobs', { PG_SCHEMA: 'team_a' }, 'the queues of jobs'],
])('tables of a stream do not stand in %s with %j', (tablesIn, env, holds) => {
  expect(() => prepareStreams([{ ...orders, tablesIn }], loadConfig(env), {})).toThrow(
    expect.objectContaining({
      problems: [`stream orders: tablesIn: the schema "${tablesIn}" holds ${holds}; choose another`],
    }),
  )
})

it('numbers of a definition are held to the limits of the settings that they stand for', () => {
  const definition = {
    ...orders,
    batch: { maxRecords: 0, maxBytes: 1.5, lingerMs: -1 },
    retry: { initialMs: 50_000, maxAttempts: Number.NaN },
    storm: { ratio: 2 },
  }
  expect(() => prepareStreams([definition], loadConfig({}), {})).toThrow(
    expect.objectContaining({
      problems: [
        'stream orders: batch.maxRecords is 0: it must be a whole number from 1 to 10000 (records)',
        'stream orders: batch.maxBytes is 1.5: it must be bytes, as in 1048576 or 1MiB, from 1024 to 1073741824',
        'stream orders: batch.lingerMs is -1: it must be a whole number from 0 to 60000 (ms)',
        'stream orders: retry.maxAttempts is NaN: it must be a whole number from 1 to 1000 (attempts)',
        'stream orders: storm.ratio is 2: it must be a share from 0 to 1, as in 0.5',
        'stream orders: retry.maxMs is 30000: it must be at least retry.initialMs (50000)',
      ],
    }),
  )
})

it('a definition that cannot be read is refused in sentences, and the others are looked at, too', () => {
  const mistaken = [
    { ...orders, settings: null },
    { ...orders, name: 'b', batch: { maxRecords: 0 } },
  ] as never
  expect(() => prepareStreams(mistaken, loadConfig({}), {})).toThrow(
    expect.objectContaining({
      problems: [
        'stream orders: settings: must be an object, not null',
        'stream b: batch.maxRecords is 0: it must be a whole number from 1 to 10000 (records)',
      ],
    }),
  )
})

it('no stream at all is refused in a sentence', () => {
  expect(() => prepareStreams([], loadConfig({}), {})).toThrow('there is no stream to run: name at least one')
})

describe('a file that cannot be used is refused in a sentence', () => {
  it('one that HOLDFAST_CONFIG names and that does not exist', async () => {
    expect(await failureOf(load({ HOLDFAST_CONFIG: 'conf/streams.ts' }))).toBe(
      `HOLDFAST_CONFIG is "conf/streams.ts": there is no file ${cwd}/conf/streams.ts; correct the path, or unset it`,
    )
  })

  it('one without a default export, or with another one', async () => {
    writeFileSync(join(cwd, 'one.ts'), 'export const streams = []\n')
    expect(await failureOf(load({ HOLDFAST_CONFIG: 'one.ts' }))).toMatch(
      /one\.ts has no default export; it must end with/,
    )
    writeFileSync(join(cwd, 'two.ts'), 'export default { streams: [] }\n')
    expect(await failureOf(load({ HOLDFAST_CONFIG: 'two.ts' }))).toMatch(/has no list "streams" with at least one/)
  })

  it('one of another extension, for which orders would run; one of CommonJS is read', async () => {
    writeFileSync(join(cwd, 'holdfast.config.json'), '{}\n')
    expect(await failureOf(load({}))).toMatch(
      /holdfast\.config\.json is not read: the streams are listed by holdfast\.config\.ts, /,
    )
    writeFileSync(join(cwd, 'holdfast.config.cjs'), "module.exports = { streams: [{ name: 'Not A Name' }] }\n")
    expect(await failureOf(load({}))).toContain('Not A Name')
  })

  it('one with a mistake of syntax, by its line', () => {
    writeFileSync(join(cwd, 'holdfast.config.ts'), 'const a: number = 1\nexport default { streams: [\n')
    expect(failureInNode()).toMatch(/holdfast\.config\.ts cannot be loaded: SyntaxError: .+holdfast\.config\.ts:\d+/)
  })

  it('one of plain JavaScript with a mistake of syntax in what it imports, by file and line', () => {
    writeFileSync(join(cwd, 'holdfast.config.mjs'), "import a from './a.mjs'\nexport default { streams: [a] }\n")
    writeFileSync(join(cwd, 'a.mjs'), 'const b = 1\nexport default {\n')
    expect(failureInNode()).toMatch(/config\.mjs cannot be loaded: SyntaxError: .+a\.mjs:\d+/)
  })

  it('one that imports a file that does not exist', () => {
    writeFileSync(join(cwd, 'holdfast.config.ts'), "import a from './none.ts'\nexport default { streams: [a] }\n")
    expect(failureInNode()).toMatch(
      new RegExp(`Cannot find module '${cwd}/none\\.ts' imported from ${cwd}/holdfast\\.config\\.ts$`),
    )
  })

  it('one that imports from holdfast, and has a mistake of syntax in JavaScript, by file and line', () => {
    const imports = "import { defineStream } from 'holdfast'\n"
    writeFileSync(
      join(cwd, 'holdfast.config.mjs'),
      `${imports}import a from './a.mjs'\nexport default { streams: [a] }\n`,
    )
    writeFileSync(join(cwd, 'a.mjs'), `${imports}export default defineStream({\n  name: 'a' b\n})\n`)
    expect(failureInNode()).toMatch(/config\.mjs cannot be loaded: SyntaxError: .+a\.mjs:3\)$/)
  })

  it('one that throws, by its line', () => {
    writeFileSync(join(cwd, 'holdfast.config.ts'), "\nthrow new TypeError('no such field')\n")
    expect(failureInNode()).toContain(`TypeError: no such field (${cwd}/holdfast.config.ts:2:7)`)
  })
})

describe('names of streams', () => {
  it('one that does not exist is answered with those that do, and the nearest', async () => {
    expect(await failureOf(load({}, ['order']))).toBe(
      'there is no stream "order": the streams are orders; did you mean orders?',
    )
    expect(() => streamNamed([{ name: 'orders' }, { name: 'returns' }], 'zzz')).toThrow(
      'there is no stream "zzz": the streams are orders, returns',
    )
  })

  it('each is run once, however often it is named', async () => {
    expect(await load({}, ['orders', 'orders'])).toHaveLength(1)
  })
})
