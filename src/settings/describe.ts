import { type Environment, effective } from './origins.ts'
import { type SettingName, settings } from './settings.ts'

export interface SettingRow {
  readonly name: string
  /** In effect, secrets hidden; empty when unset. */
  readonly value: string
  readonly origin: 'default' | 'environment' | '.env' | 'file'
  /** Where the origin is a file: its path. */
  readonly file: string | undefined
  readonly description: string
}

/**
 * Every setting as it is in effect, in the order of the table.
 * @param file what `.env` holds. Node has put it into the environment already, where that did not say otherwise.
 */
export function describeConfig(env: Environment, file: Environment = {}): SettingRow[] {
  return settings().map(([name, { shown, about }]) => {
    const { text, origin, file: path } = effective(env, name)
    const fromFile = origin === 'environment' && file[name] === text
    return {
      name,
      value: text === undefined ? '' : shown(text),
      origin: fromFile ? '.env' : origin,
      file: path,
      description: about,
    }
  })
}

/** The first setting of each part of the page: a setting belongs to the part above it. */
const PARTS: Readonly<Partial<Record<SettingName, string>>> = {
  KAFKA_BROKERS: 'Kafka',
  DATABASE_URL: 'Postgres',
  HTTP_HOST: 'HTTP, console and messages to operators',
  METRICS_HOST: 'A port for metrics and probes',
  BATCH_MAX_RECORDS: 'Batches and retries',
  DLQ_STORM_MAX_CONSECUTIVE: 'Dead letters and redrives',
  DEAD_LETTER_RETENTION_DAYS: 'What is kept for how long',
  HOLDFAST_CONFIG: 'Streams and operators',
  CACHE_MAX_BYTES: 'Cache',
  LOG_LEVEL: 'Log, liveness and stop',
}

/** Every setting in tables of Markdown, under the headings of its parts. */
export function settingsTables(): string {
  const lines = settings().flatMap(([name, setting]) => {
    const value = setting.default ? `\`${setting.default}\`` : ''
    const file = setting.inFile ? ` Or \`${name}_FILE\`: a file that holds it.` : ''
    const cells = [`\`${name}\``, value, `${setting.about} Takes ${setting.expected}.${file}`]
    const row = `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
    const part = PARTS[name]
    return part === undefined ? [row] : ['', `## ${part}`, '', '| variable | default | |', '| --- | --- | --- |', row]
  })
  return lines.join('\n').trim()
}
