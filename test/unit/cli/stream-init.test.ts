import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { COMPILED } from '../../support/service.ts'

const MAIN = resolve('src/cli/main.ts')
const SAMPLE = {
  return_id: '7f6d1a0e-53a5-4a6f-8e0e-2f3f2c0a8f11',
  created_at: '2026-03-01T10:00:00Z',
  reason: 'it does not "fit", it\'s too small',
  customer: { id: 'c-17', email: 'a@example.com' },
  address: { street: 'Main 1', city: 'Riga' },
  refund: 19.99,
  lines: [{ sku: 's-1', quantity: 2, product: { name: 'Shirt' } }],
  note: null,
}

let project: string
beforeEach(() => {
  project = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-init-')))
  onTestFinished(() => rmSync(project, { recursive: true, force: true }))
  put('sample.json', SAMPLE)
})

function put(path: string, value: unknown): void {
  writeFileSync(join(project, path), typeof value === 'string' ? value : JSON.stringify(value))
}

const text = (path: string) => readFileSync(join(project, path), 'utf8')

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function stream(...args: readonly string[]): Promise<Ended> {
  const env = { PATH: process.env.PATH, NO_COLOR: '1', DATABASE_URL: 'postgres://127.0.0.1:1/none', ...COMPILED }
  return new Promise(done => {
    execFile(process.execPath, [MAIN, 'stream', ...args], { cwd: project, env }, (error, stdout, stderr) =>
      done({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
}

describe('holdfast stream init', () => {
  it('writes what a new team needs, and says what it assumed and what comes next', async () => {
    const { code, stdout, stderr } = await stream('init', 'returns', '--from', 'sample.json')
    expect({ code, stderr }).toMatchObject({ code: 0 })
    const written = [...stdout.matchAll(/^wrote (.*)$/gm)].map(([, path]) => path)
    expect(written).toEqual([
      ...[
        'streams/returns.ts',
        'streams/returns.schema.json',
        'streams/returns.sample.json',
        'streams/returns.test.ts',
      ],
      ...['migrations/0001_returns.sql', 'package.json', 'tsconfig.json', 'holdfast.config.ts'],
    ])
    expect(text('streams/returns.ts')).toMatch(/key: '\/return_id',/)
    expect(JSON.parse(text('streams/returns.sample.json'))).toEqual(SAMPLE)
    expect(text('migrations/0001_returns.sql')).toMatch(
      /^-- Up Migration\n\nCREATE TABLE public\.returns \(\n {2}return_id +text COLLATE "C" NOT NULL,/,
    )
    expect(text('migrations/0001_returns.sql')).toMatch(/\n {2}note +jsonb,\n/)
    expect(text('holdfast.config.ts')).toContain('streams: [returns]')
    expect(stderr).toMatch(/Assumed, from 1 sample:\n {2}- There is one sample.*The key is \/return_id/s)
    expect(stderr).toMatch(/Next:\n {2}1\. npm install PATH\/holdfast-[\d.]+tgz /)
  })

  it('writes a definition that Node reads, with the schema and the tables of the migration', async () => {
    await stream('init', 'returns', '--from', 'sample.json')
    const { code, stdout, stderr } = await stream('migration', 'returns', '--offline')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe(text('migrations/0001_returns.sql'))
  })

  it('has the tables in a schema of their own, which the migration makes first', async () => {
    await stream('init', 'returns', '--from', 'sample.json', '--tables-in', 'shop')
    expect(text('streams/returns.ts')).toMatch(/tablesIn: 'shop',/)
    const sql = text('migrations/0001_returns.sql')
    expect(sql).toMatch(/^-- Up Migration\n\nCREATE SCHEMA IF NOT EXISTS shop;\n\nCREATE TABLE shop\.returns \(/)
    expect(sql).toMatch(
      /-- Down Migration\n\nDROP TABLE shop\.returns_lines;\nDROP TABLE shop\.returns_address;\nDROP TABLE shop\.returns;\n$/,
    )
    expect((await stream('migration', 'returns', '--offline')).stdout).toBe(sql)
  })

  it.each<[string, object, readonly string[]]>([
    [
      'nothing in it',
      {},
      [expect.stringMatching(/^npm install PATH\/holdfast-.*tgz /), 'npm install --save-dev typescript'],
    ],
    ['all of it', { type: 'module', dependencies: { holdfast: '0' }, devDependencies: { typescript: '7' } }, []],
  ])('leaves a package.json alone that has %s, and says what to add', async (_, manifest, steps) => {
    put('package.json', manifest)
    const { stdout } = await stream('init', 'returns', '--from', 'sample.json', '--json')
    expect(text('package.json')).toBe(JSON.stringify(manifest))
    const { next } = JSON.parse(stdout)
    expect(next.slice(0, -6)).toEqual(steps)
  })

  it.each([
    ['says nothing of modules', {}],
    ['is of CommonJS', { type: 'commonjs' }],
  ])('writes files that Node reads as modules where the package %s', async (_, manifest) => {
    put('package.json', manifest)
    put('visit.json', { visit_id: 'v1', at: '2026-03-01T10:00:00Z' })
    const first = await stream('init', 'returns', '--from', 'sample.json')
    const second = await stream('init', 'visits', '--from', 'visit.json')
    expect(first.stdout).toMatch(/^wrote streams\/returns\.mts\n.*wrote holdfast\.config\.mts\n/s)
    expect(first.stderr).toContain('streams/returns.mts, and correct what was assumed')
    expect(second.stdout).toContain('added the stream to holdfast.config.mts\n')
    const { code, stdout, stderr } = await stream('ls', '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.split('\n').map(line => line && JSON.parse(line).name)).toEqual(['returns', 'visits', ''])
  })

  it('overwrites nothing: it names the file that is in the way, and writes none', async () => {
    mkdirSync(join(project, 'streams'))
    put('streams/returns.schema.json', 'mine')
    const { code, stdout, stderr } = await stream('init', 'returns', '--from', 'sample.json')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^error: streams\/returns\.schema\.json is there already; nothing was written/)
    expect(readdirSync(project).sort()).toEqual(['sample.json', 'streams'])
    expect(text('streams/returns.schema.json')).toBe('mine')
  })

  it('adds the second stream to a config that it can read, and numbers its migration', async () => {
    await stream('init', 'returns', '--from', 'sample.json')
    put('visit.json', { visit_id: 'v1', at: '2026-03-01T10:00:00Z' })
    const { code, stdout, stderr } = await stream('init', 'shop-visits', '--from', 'visit.json')
    expect(code).toBe(0)
    expect(stderr).not.toContain('Warning')
    expect(stdout).toContain('wrote migrations/0002_shop_visits.sql\nadded the stream to holdfast.config.ts\n')
    expect(text('holdfast.config.ts')).toBe(`import { defineConfig } from 'holdfast'
import returns from './streams/returns.ts'
import shopVisits from './streams/shop-visits.ts'

export default defineConfig({ streams: [returns, shopVisits] })
`)
  })

  it('leaves a config alone that it cannot read, and says which lines to add', async () => {
    const config = "import { defineConfig } from 'holdfast'\nexport default defineConfig({ streams: all() })\n"
    put('holdfast.config.ts', config)
    const { code, stderr } = await stream('init', 'returns', '--from', 'sample.json')
    expect(code).toBe(0)
    expect(text('holdfast.config.ts')).toBe(config)
    expect(stderr).toContain(
      '1. add to holdfast.config.ts: import returns from \'./streams/returns.ts\' and returns in the list "streams"',
    )
  })

  it('takes several samples, of arrays and NDJSON, and requires only what all have', async () => {
    put('more.ndjson', `${JSON.stringify({ ...SAMPLE, return_id: 'x', refund: 5 })}\n{"return_id":"y"}\n`)
    await stream('init', 'returns', '--from', 'sample.json', '--from', 'more.ndjson')
    expect(JSON.parse(text('streams/returns.schema.json')).required).toEqual(['return_id'])
    expect(JSON.parse(text('streams/returns.sample.json'))).toHaveLength(3)
  })

  it.each<[string, readonly string[], RegExp]>([
    [
      'a name that no table can have',
      ['init', 'Returns!', '--from', 'sample.json'],
      /"Returns!" cannot name a stream: it must be/,
    ],
    [
      'a name of an address of ours',
      ['init', 'admin', '--from', 'sample.json'],
      /admin cannot name a stream here: stream admin: route: "admin" is an address of Holdfast itself/,
    ],
    [
      'a name of a table that our migrations create',
      ['init', 'payments', '--from', 'sample.json'],
      /payments cannot name a stream here: the migrations of Holdfast create a table payments in each database\. Choose another name/,
    ],
    [
      'a name of a table that is ours',
      ['init', 'replays', '--from', 'sample.json'],
      /replays cannot name a stream here: .*Holdfast has a table of this name for itself/,
    ],
    ['no sample', ['init', 'returns'], /required option '--from <path>'/],
    [
      'a sample that is not there',
      ['init', 'returns', '--from', 'no.json'],
      /--from no\.json cannot be read: there is no such file/,
    ],
    ['a broken sample', ['init', 'returns', '--from', 'broken.ndjson'], /--from broken\.ndjson, sample 2 is not JSON/],
    ['a sample that is no object', ['init', 'returns', '--from', 'list.json'], /--from: sample 1 is an? integer/],
    [
      'a sample that is no UTF-8',
      ['init', 'returns', '--from', 'latin1.json'],
      /--from latin1\.json is not UTF-8 text/,
    ],
    [
      'a sample that no schema accepts',
      ['init', 'returns', '--from', 'rounded.json'],
      /--from rounded\.json, sample 2 would be a dead letter: \/n must be at most 9007199254740991/,
    ],
    ['no key', ['init', 'returns', '--from', 'keyless.json'], /--from: no field can be the key/],
    ['a stream that there is not', ['check', 'returns'], /there is no stream "returns": the streams are orders/],
  ])('ends with 2 on %s, and writes nothing', async (_, args, expected) => {
    put('broken.ndjson', '{"a":1}\n{"a":')
    put('list.json', '[1]')
    put('keyless.json', '{"a":1}')
    put('rounded.json', '[{"id":"a","n":1},{"id":"b","n":9007199254740993}]')
    writeFileSync(join(project, 'latin1.json'), Buffer.from('{"id":"\u00e9"}', 'latin1'))
    const before = readdirSync(project)
    const { code, stdout, stderr } = await stream(...args)
    expect(stderr).toMatch(expected)
    expect([code, stdout]).toEqual([2, ''])
    expect(readdirSync(project)).toEqual(before)
  })
})

describe('holdfast stream', () => {
  it('lists the streams with their names outside', async () => {
    const { stdout } = await stream('ls', '--json')
    expect(JSON.parse(stdout)).toEqual({
      ...{ name: 'orders', topic: 'orders', dlq_topic: 'orders.dlq', group_id: 'holdfast', route: '/orders' },
      tables_in: 'public',
      tables: ['orders', 'deliveries', 'payments', 'items'],
    })
    expect((await stream('ls')).stdout).toMatch(/^name {4}topic .*\norders /)
  })

  it('checks the definition, its samples, and what GET gives back', async () => {
    await stream('init', 'returns', '--from', 'sample.json')
    put('streams/returns.sample.json', [SAMPLE, { ...SAMPLE, refund: 'much' }, { ...SAMPLE, extra: 1 }])
    const { code, stdout } = await stream('check', '--offline')
    expect(stdout.split('\n').slice(0, 5)).toEqual([
      '✓ returns definition: fits its schema; GET rebuilds values from the tables',
      expect.stringMatching(/^✓ returns definition: \/note takes values of several types: /),
      '✗ returns samples: streams/returns.sample.json, sample 2: /refund must be a number',
      '    correct the sample, or streams/returns.schema.json',
      '✓ returns samples: in the samples, and not given back: /extra',
    ])
    expect(code).toBe(1)
  })

  it('names every mistake of a definition', async () => {
    await stream('init', 'returns', '--from', 'sample.json')
    put(
      'streams/returns.ts',
      text('streams/returns.ts').replace("'/return_id'", "'/nope'").replace("'/reason'", "'/reasn'"),
    )
    const { code, stdout, stderr } = await stream('check', '--offline')
    expect(stdout).toMatch(/^✗ definition: stream returns: key: the schema has no \/nope/m)
    expect(stdout).toMatch(/^✗ definition: stream returns: tables\.returns\.columns\[2\]: the schema has no \/reasn/m)
    expect(stderr).toBe('error: 2 mistakes in the definitions\n')
    expect(code).toBe(1)
  })

  it('never says that nothing differs when the database could not be asked', async () => {
    const asked = await stream('check')
    expect(asked.code).toBe(4)
    expect(asked.stdout).toMatch(
      /^✓ orders definition: .*GET rebuilds values from the tables\n\? orders tables: Postgres is away/,
    )
    const offline = await stream('check', '--offline')
    expect(offline).toMatchObject({ code: 0, stderr: expect.stringContaining('orders: the tables were not compared') })
    expect((await stream('migration', 'orders')).code).toBe(4)
  })
})
