import { describe, expect, it } from 'vitest'
import { checkFile } from '../../../scripts/check-doors.ts'

const complaints = (file: string, source: string): string[] => checkFile(file, source).map(({ why }) => why)

describe('open doors', () => {
  it.each([
    ['kafka/consumer.ts', `import { offset } from '../core/record.ts'`],
    ['kafka/consumer.ts', `import { createClient } from './client.ts'`],
    ['http/routes/orders.ts', `import { problem } from '../problem.ts'`],
    ['http/routes/view.ts', `import { orderView } from '../../../web/order-view.js'`],
    ['postgres/order-reader.ts', `import type { Order } from '../orders/order.ts'`],
    ['postgres/order-reader.ts', `import { type Item, type Order } from '../orders/order.ts'`],
    ['kafka/client.ts', `import kafka from '@confluentinc/kafka-javascript'`],
    ['postgres/pool.ts', `import pg from 'pg'`],
    ['app.ts', `import { createPool } from './postgres/pool.ts'`],
    ['cli/letter-text.ts', `import { hexDump } from '../../web/console/hex.js'`],
    ['cli/demo.ts', `const { startStack } = await import('../embedded/stack.ts')`],
    ['cli/serve.ts', `import { startApp } from '../app.ts'`],
    ['app-jobs.ts', `import { createPool } from './postgres/pool.ts'`],
    ['app.ts', `import { composeJobs } from './app-jobs.ts'`],
    ['cli/dlq-replay.ts', `import { composeJobs } from '../app-jobs.ts'`],
    ['main.ts', `import { startApp } from './app.ts'\nconst env = process.env`],
    ['main.ts', `import { createLogger } from './telemetry/logger.ts'`],
    ['version.ts', `import manifest from '../package.json' with { type: 'json' }`],
    ['config.ts', `import { SETTINGS } from './settings.ts'`],
    ['core/batch.ts', `import { createHash } from 'node:crypto'`],
    ['pipeline/write.ts', `/* import pg from 'pg' */\n  // process.env is not read here`],
  ])('%s: %s', (file, source) => {
    expect(complaints(file, source)).toEqual([])
  })
})

describe('closed doors', () => {
  it.each([
    [
      'pipeline/write.ts',
      `import { createPool } from '../postgres/pool.ts'`,
      /^pipeline\/ may not import postgres\/pool.ts/,
    ],
    ['http/server.ts', `import { composeJobs } from '../app-jobs.ts'`, /^only main.ts and cli\/ import app-jobs.ts/],
    ['pipeline/write.ts', `import type { Pool } from '../postgres/pool.ts'`, /^pipeline\/ may not import/],
    ['pipeline/write.ts', `export * from '../postgres/pool.ts'`, /^pipeline\/ may not import/],
    ['pipeline/write.ts', `import '../postgres/pool.ts'`, /^pipeline\/ may not import/],
    ['pipeline/write.ts', `const pool = await import('../postgres/pool.ts')`, /^pipeline\/ may not import/],
    ['pipeline/write.ts', `import {\n  createPool,\n  type Pool,\n} from '../postgres/pool.ts'`, /^pipeline\/ may not/],
    ['postgres/pool.ts', `import { judge } from '../orders/order.ts'`, /types from orders\/ only/],
    ['postgres/pool.ts', `import { judge, type Order } from '../orders/order.ts'`, /types from orders\/ only/],
    [
      'core/batch.ts',
      `import type { Order } from '../orders/order.ts'`,
      /core\/ imports from core\/ and engine\/ alone/,
    ],
    ['core/batch.ts', `import pRetry from 'p-retry'`, /knows no library/],
    ['http/server.ts', `import { startApp } from '../app.ts'`, /only main.ts and cli\/ import app.ts/],
    ['config.ts', `import { startApp } from './app.ts'`, /only main.ts and cli\/ import app.ts/],
    ['http/server.ts', `import { loadConfig } from '../config.ts'`, /may not import config.ts/],
    ['config.ts', `import { createPool } from './postgres/pool.ts'`, /^config.ts may not import/],
    ['main.ts', `import { createPool } from './postgres/pool.ts'`, /^main.ts may not import/],
    ['pipeline/write.ts', `import pg from 'pg'`, /^pg is known in postgres\//],
    ['cli/order.ts', `import pg from 'pg'`, /^pg is known in/],
    ['app.ts', `import type { Producer } from '@confluentinc/kafka-javascript/types'`, /known in kafka\/ only/],
    ['http/server.ts', `import { a } from '#src/core/record.ts'`, /relative/],
    ['http/server.ts', `import { a } from '../../test/support/stack.ts'`, /outside src/],
    ['cache/cache.ts', `import { a } from '../../web/tree.js'`, /outside src/],
    ['http/server.ts', 'const port = process.env.PORT', /reads process.env/],
    ['app.ts', `import { env } from 'node:process'`, /reads process.env/],
  ])('%s: %s', (file, source, why) => {
    expect(complaints(file, source)).toEqual([expect.stringMatching(why)])
  })

  it('are told with their line', () => {
    const source = `/**\n * About pools.\n */\nimport { a } from './a.ts'\nimport pg from 'pg'\n`
    expect(checkFile('pipeline/write.ts', source)).toMatchObject([{ file: 'pipeline/write.ts', line: 5 }])
  })
})
