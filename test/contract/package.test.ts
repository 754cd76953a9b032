import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installPacked, pack, ROOT, run } from '../support/package.ts'

let project: string
let files: string[]

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'holdfast-package-'))
  const packed = await pack(project)
  files = packed.files
  await installPacked(packed.tarball, project)
})
afterAll(() => rm(project, { recursive: true, force: true }))

describe('the tarball', () => {
  it('holds JavaScript with types, and what a service reads while it runs', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'bin/holdfast',
        'dist/index.js',
        'dist/index.d.ts',
        'dist/testing.d.ts',
        'dist/cli/main.js',
        'dist/scripts/native.js',
        'migrations/0001_order_tables.sql',
        'schemas/openapi.json',
        'scripts/postinstall.js',
        'web/app.js',
      ]),
    )
  })

  it('holds no sources, no tests and nothing of this checkout', () => {
    expect(
      files.filter(file => /^(src|test|bench|grafana)\//.test(file) || /[^d]\.ts$|\.tsbuildinfo$/.test(file)),
    ).toEqual([])
  })
})

describe('a project that has installed it', () => {
  it('has the commands', async () => {
    const { stdout } = await run(join(project, 'node_modules/.bin/holdfast'), ['--help'], { cwd: project })

    expect(stdout).toContain('Usage: holdfast')
    expect(stdout).toContain('serve')
  })

  it('defines a stream of its own with types from the schema, and judges a record without servers', async () => {
    await writeFile(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          module: 'nodenext',
          noEmit: true,
          skipLibCheck: true,
          exactOptionalPropertyTypes: true,
          allowImportingTsExtensions: true,
          types: ['node'],
        },
        include: ['*.ts'],
      }),
    )
    await writeFile(join(project, 'holdfast.config.ts'), CONFIG)
    await writeFile(join(project, 'returns.ts'), RETURNS)
    await writeFile(join(project, 'judged.ts'), JUDGED)

    await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project], { cwd: project }).catch(withOutput)
    const order = join(ROOT, 'data/model.json')
    const { stdout } = await run(process.execPath, ['judged.ts', order], { cwd: project }).catch(withOutput)

    expect(JSON.parse(stdout)).toMatchObject({
      streams: ['orders', 'returns'],
      order: { ok: true, key: 'b563feb7b2b84b6test', rows: { items: [{ position: 0, price: 453 }] } },
      broken: { ok: false, error: 'not_json' },
    })
  })

  it('is told by the compiler of a field that its schema does not have', async () => {
    await writeFile(join(project, 'returns.ts'), RETURNS.replace('value.return_id', 'value.retrun_id'))

    const failure = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project], { cwd: project }).catch(
      (error: { stdout: string }) => error,
    )

    expect(failure.stdout).toContain(`Property 'retrun_id' does not exist`)
  })
})

/** A failed command says why on either stream. */
function withOutput(error: { readonly stdout?: string; readonly stderr?: string }): never {
  throw new Error(`${error.stdout}${error.stderr}`, { cause: error })
}

const CONFIG = `import { defineConfig } from 'holdfast'
import { orders } from 'holdfast/orders'
import returns from './returns.ts'
export default defineConfig({ streams: [orders, returns] })
`

const RETURNS = `import { defineStream } from 'holdfast'
const schema = {
  type: 'object',
  required: ['return_id', 'created_at'],
  properties: {
    return_id: { type: 'string', pattern: '^[a-z0-9]+$' },
    created_at: { type: 'string', format: 'date-time' },
    lines: { type: 'array', items: { type: 'object', properties: { sku: { type: 'string' } } } },
  },
} as const
export default defineStream({
  name: 'returns',
  schema,
  key: '/return_id',
  tables: { returns: {}, return_lines: { each: '/lines', columns: ['/sku'] } },
  list: { newest: '/created_at' },
  unusualKinds: ['short_id'],
  unusual: value => (value.return_id.length < 3 ? ['short_id'] : []),
})
`

const JUDGED = `import { readFileSync } from 'node:fs'
import { orders } from 'holdfast/orders'
import { judge } from 'holdfast/testing'
import config from './holdfast.config.ts'
const order = judge(orders, readFileSync(process.argv[2] ?? '', 'utf8'))
const broken = judge(orders, 'nothing')
if (order.ok) order.value.order_uid satisfies string
console.log(JSON.stringify({ streams: config.streams.map(({ name }) => name), order, broken }))
`
