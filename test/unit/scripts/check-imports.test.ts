import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkImports } from '../../../scripts/check-imports.ts'
import { layout } from '../../../scripts/layout.ts'

/** Finds what is wrong with the imports of a project that consists of these files. */
async function check(files: Record<string, string>): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-imports-'))
  try {
    for (const [name, text] of Object.entries({ 'package.json': MANIFEST, ...files })) {
      mkdirSync(dirname(join(root, name)), { recursive: true })
      writeFileSync(join(root, name), text)
    }
    return (await checkImports(layout, root)).broken
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
  'src/engine/record.ts': 'export const record = 1',
  'src/engine/definition.ts': 'export const defineStream = 1',
  'src/engine/kafka/client.ts': 'export type Client = 1\nexport const client = 1',
  'src/engine/postgres/pool.ts': `import pg from 'pg'\nexport type Pool = 1\nexport const pool = pg`,
  'src/inbox/letter.ts': 'export type Letter = 1\nexport const letter = 1',
  'src/http/problem.ts': 'export const problem = 1',
  'src/streams/orders/schema.ts': 'export type Order = 1\nexport const order = 1',
  'src/app.ts': 'export const app = 1',
  'src/app/jobs.ts': 'export const jobs = 1',
  'src/settings/config.ts': 'export const config = 1',
  'web/order-view.js': 'export const view = 1',
  'test/support/stack.ts': 'export const stack = 1',
}

describe('imports that the layout allows', () => {
  it('pass', async () => {
    const broken = await check({
      ...OTHERS,
      'src/engine/kafka/consumer.ts': `import { record } from '../record.ts'\nimport { client } from './client.ts'`,
      'src/engine/kafka/deep/native.ts': `import kafka from '@confluentinc/kafka-javascript'`,
      'src/read/http/view.ts': `import { view } from '../../../web/order-view.js'\nimport { problem } from '../../http/problem.ts'`,
      'src/streams/returns/stream.ts': `import { defineStream } from '../../engine/definition.ts'`,
      'src/engine/batch.ts': `import { createHash } from 'node:crypto'`,
      'src/cli/serve.ts': `const { app } = await import('../app.ts')\nawait using jobs = await import('../app/jobs.ts')`,
      'src/main.ts': `import { app } from './app.ts'\nimport { config } from './settings/config.ts'`,
      'src/read/reader.ts': `/* import pg from 'pg' */\n// import '../inbox/letter.ts'`,
    })

    expect(broken).toEqual([])
  })
})

describe('an import that the layout does not allow', () => {
  it.each([
    ['a value of another module', 'read/reader.ts', `import { letter } from '../inbox/letter.ts'`, 'read-imports'],
    ['a type alone', 'read/reader.ts', `import type { Letter } from '../inbox/letter.ts'`, 'read-imports'],
    ['on the way through', 'read/reader.ts', `export * from '../inbox/letter.ts'`, 'read-imports'],
    ['for its effect', 'read/reader.ts', `import '../inbox/letter.ts'`, 'read-imports'],
    ['at run time', 'read/reader.ts', `await using letter = await import('../inbox/letter.ts')`, 'read-imports'],
    [
      'a stream in the engine',
      'engine/run.ts',
      `import type { Order } from '../streams/orders/schema.ts'`,
      'engine-imports',
    ],
    [
      'dead letters in the engine',
      'engine/run/run.ts',
      `import type { Letter } from '../../inbox/letter.ts'`,
      'engine-imports',
    ],
    [
      'the inside of the engine in a stream',
      'streams/returns/stream.ts',
      `import { pool } from '../../engine/postgres/pool.ts'`,
      'streams-imports',
    ],
    [
      'routes where there is no HTTP',
      'inbox/letter.ts',
      `import { problem } from '../http/problem.ts'`,
      'inbox-imports',
    ],
    [
      'another module in a folder with rules of its own',
      'inbox/http/routes.ts',
      `import { config } from '../../settings/config.ts'`,
      'inbox/http-imports',
    ],
    ['the root from a part', 'http/server.ts', `import { app } from '../app.ts'`, 'composition-root'],
    ['the root from the settings', 'settings/config.ts', `import { app } from '../app.ts'`, 'composition-root'],
    ['a driver outside its folder', 'cli/get.ts', `import pg from 'pg'`, 'library-pg'],
    [
      'a client outside its folder',
      'app.ts',
      `import type { Producer } from '@confluentinc/kafka-javascript/types'`,
      'library-@confluentinc/kafka-javascript',
    ],
    ['a page in the engine', 'engine/record.ts', `import { view } from '../../web/order-view.js'`, 'web'],
    ['a test', 'http/server.ts', `import { stack } from '../../test/support/stack.ts'`, 'outside-src'],
  ])('is found: %s', async (_, file, source, rule) => {
    const broken = await check({ ...OTHERS, [`src/${file}`]: source })

    expect(broken).toContainEqual(expect.stringMatching(new RegExp(`^src/${file} -> .*\\(${rule}\\)$`)))
  })

  it('is found when it closes a circle, even of types', async () => {
    const broken = await check({
      'src/engine/a.ts': `import type { B } from './b.ts'\nexport type A = B`,
      'src/engine/b.ts': `import type { A } from './a.ts'\nexport type B = A`,
    })

    expect(broken).toEqual([expect.stringContaining('no circle of files (circle)')])
  })
})
