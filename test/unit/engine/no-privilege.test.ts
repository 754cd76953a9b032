import { globSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const ROOT = new URL('../../../', import.meta.url)

/**
 * Fields, tables and routes of orders, as code names them: a field anywhere; a table or a stream as a whole literal or after a keyword of
 * SQL; the first segment of a path. The table `items` is left out, because JSON Schema and redrives have items too. A text may take orders
 * as its example ("dlq show orders-3-81723"): it decides nothing.
 */
const NAMES_ORDERS = new RegExp(
  [
    String.raw`\b(?:order_uid|track_number|customer_id|date_created|delivery_service|internal_signature|sm_id|oof_shard|chrt_id|nm_id)\b`,
    String.raw`\b(?:FROM|JOIN|INTO|UPDATE|TABLE) +(?:orders|deliveries|payments)\b`,
    String.raw`(['"\x60])(?:orders?|deliveries|payments?)\1`,
    String.raw`['"\x60]/orders?(?:[/?'"\x60])`,
    'streams/orders/',
  ].join('|'),
  'g',
)

/** Where orders may be named, and why. */
const ALLOWED: Readonly<Record<string, string>> = {
  'src/inbox/json.ts': 'JSON of dead letters keeps the field order_uid for one version',
  'src/settings/settings.ts':
    'defaults of KAFKA_TOPIC and KAFKA_DLQ_TOPIC, settings that the definition of orders names',
  'src/settings/streams.ts': 'the streams of a project without holdfast.config.ts are orders alone',
  'src/telemetry/logger.ts': 'names under which values of any version may have been logged stay redacted',
}

const files = globSync(['src/**/*.ts', 'web/console/*.js', 'tools/**/*.ts'], { cwd: ROOT })
  .map(file => file.replaceAll('\\', '/'))
  .filter(file => !file.startsWith('src/streams/'))
  .sort()

/** Without comments: they may say what a rule means for orders. */
function codeOf(file: string): string {
  return readFileSync(new URL(file, ROOT), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
}

it('no module but its own names a field, a table or a route of orders', () => {
  const found = files
    .filter(file => ALLOWED[file] === undefined)
    .flatMap(file => [...codeOf(file).matchAll(NAMES_ORDERS)].map(([name]) => `${file}: ${name}`))
  expect(found).toEqual([])
})

it('every exception is one', () => {
  expect(Object.keys(ALLOWED).filter(file => codeOf(file).match(NAMES_ORDERS) === null)).toEqual([])
})

it('nothing that runs takes anything from the tests', () => {
  expect(files.filter(file => /from '(?:\.\.\/)+test\//.test(codeOf(file)))).toEqual([])
})
