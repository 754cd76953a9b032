import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkImports } from '../../../scripts/check-imports.ts'
import { layout } from '../../../scripts/layout.ts'
import { layout as target } from '../../../scripts/layout-target.ts'

/** Finds what is wrong with the imports of a project that consists of these files. */
async function check(files: Record<string, string>, rules = layout): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-imports-'))
  try {
    for (const [name, text] of Object.entries({ 'package.json': MANIFEST, ...files })) {
      mkdirSync(dirname(join(root, name)), { recursive: true })
      writeFileSync(join(root, name), text)
    }
    return (await checkImports(rules, root)).broken
  } finally {
    await rm(root, { recursive: true })
  }
}

const MANIFEST = JSON.stringify({
  type: 'module',
  imports: { '#src/*': './src/*' },
  dependencies: { pg: '1', pino: '1', 'p-retry': '1', '@confluentinc/kafka-javascript': '1' },
  devDependencies: { vitest: '1' },
})

/** Files that the others import. */
const OTHERS = {
  'src/core/record.ts': 'export const record = 1',
  'src/kafka/client.ts': 'export type Client = 1\nexport const client = 1',
  'src/postgres/pool.ts': 'export type Pool = 1\nexport const pool = 1',
  'src/orders/order.ts': 'export type Order = 1\nexport const order = 1',
  'src/app.ts': 'export const app = 1',
  'src/app-jobs.ts': 'export const jobs = 1',
  'src/config.ts': 'export const config = 1',
  'web/order-view.js': 'export const view = 1',
  'test/support/stack.ts': 'export const stack = 1',
}

describe('imports that the layout allows', () => {
  it('pass', async () => {
    const broken = await check({
      ...OTHERS,
      'src/kafka/consumer.ts': `import { record } from '../core/record.ts'\nimport { client } from './client.ts'`,
      'src/kafka/deep/native.ts': `import kafka from '@confluentinc/kafka-javascript'`,
      'src/http/routes/view.ts': `import { view } from '../../../web/order-view.js'`,
      'src/postgres/reader.ts': `import { type Order } from '../orders/order.ts'\nimport pg from 'pg'`,
      'src/core/batch.ts': `import { createHash } from 'node:crypto'`,
      'src/cli/serve.ts': `const { app } = await import('../app.ts')\nawait using jobs = await import('../app-jobs.ts')`,
      'src/main.ts': `import { app } from './app.ts'\nimport { config } from './config.ts'`,
      'src/read/reader.ts': `/* import pg from 'pg' */\n// import '../postgres/pool.ts'`,
    })

    expect(broken).toEqual([])
  })
})

describe('an import that the layout does not allow', () => {
  it.each([
    ['a port is needed', 'read/reader.ts', `import { pool } from '../postgres/pool.ts'`, 'read-imports'],
    ['a type alone', 'read/reader.ts', `import type { Pool } from '../postgres/pool.ts'`, 'read-imports'],
    ['on the way through', 'read/reader.ts', `export * from '../postgres/pool.ts'`, 'read-imports'],
    ['for its effect', 'read/reader.ts', `import '../postgres/pool.ts'`, 'read-imports'],
    ['at run time', 'read/reader.ts', `await using pool = await import('../postgres/pool.ts')`, 'read-imports'],
    [
      'a value of a stream',
      'postgres/reader.ts',
      `import { order } from '../orders/order.ts'`,
      'postgres-types-of-orders',
    ],
    ['a stream in the engine', 'engine/run.ts', `import type { Order } from '../orders/order.ts'`, 'engine-imports'],
    ['a package in core', 'core/batch.ts', `import pRetry from 'p-retry'`, 'core-is-pure'],
    ['the root from a part', 'http/server.ts', `import { app } from '../app.ts'`, 'composition-root'],
    ['the root from the settings', 'config.ts', `import { app } from './app.ts'`, 'composition-root'],
    ['a part from the settings', 'config.ts', `import { pool } from './postgres/pool.ts'`, 'top-of-src'],
    ['a driver outside its folder', 'cli/order.ts', `import pg from 'pg'`, 'library-pg'],
    [
      'a client outside its folder',
      'app.ts',
      `import type { Producer } from '@confluentinc/kafka-javascript/types'`,
      'library-@confluentinc/kafka-javascript',
    ],
    ['a page in the cache', 'cache/cache.ts', `import { view } from '../../web/order-view.js'`, 'web'],
    ['a test', 'http/server.ts', `import { stack } from '../../test/support/stack.ts'`, 'outside-src'],
  ])('is found: %s', async (_, file, source, rule) => {
    const broken = await check({ ...OTHERS, [`src/${file}`]: source })

    expect(broken).toContainEqual(expect.stringMatching(new RegExp(`^src/${file} -> .*\\(${rule}\\)$`)))
  })

  it('is found when it closes a circle, even of types', async () => {
    const broken = await check({
      'src/core/a.ts': `import type { B } from './b.ts'\nexport type A = B`,
      'src/core/b.ts': `import type { A } from './a.ts'\nexport type B = A`,
    })

    expect(broken).toEqual([expect.stringContaining('no circle of files (circle)')])
  })
})

describe('the layout to come', () => {
  it.each([
    ['engine/run/run.ts', `import type { Letter } from '../../inbox/letter.ts'`, 'engine-imports'],
    ['read/cache.ts', `import type { Letter } from '../inbox/letter.ts'`, 'read-imports'],
    ['streams/returns/stream.ts', `import { pool } from '../../engine/postgres/pool.ts'`, 'streams-imports'],
    ['inbox/states.ts', `import pg from 'pg'`, 'library-pg'],
  ])('refuses in %s: %s', async (file, source, rule) => {
    const files = {
      'src/inbox/letter.ts': 'export type Letter = 1',
      'src/engine/postgres/pool.ts': 'export const pool = 1',
    }

    expect(await check({ ...files, [`src/${file}`]: source }, target)).toEqual([expect.stringContaining(`(${rule})`)])
  })

  it('allows a stream the definition, and each technology its library', async () => {
    const broken = await check(
      {
        'src/engine/definition.ts': 'export const defineStream = 1',
        'src/engine/postgres/pool.ts': `import pg from 'pg'`,
        'src/streams/returns/stream.ts': `import { defineStream } from '../../engine/definition.ts'`,
      },
      target,
    )

    expect(broken).toEqual([])
  })
})
