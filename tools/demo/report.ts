/** The demo's output: all addresses once it is ready, and the outcome of the records at its end. */

import { paint } from '../../src/cli/output.ts'
import { grouped } from '../../src/engine/grouped.ts'
import type { StreamCounts } from '../../src/engine/postgres/stream-counts.ts'
import { maskUrl } from '../../src/settings/setting.ts'
import { FIRST_GRAPH } from './prometheus.ts'
import type { EmbeddedPrometheus } from './servers/prometheus.ts'

export interface Addresses {
  readonly url: string
  readonly metricsUrl: string
  readonly kafka: string
  readonly database: string
  /** Running, or why it is not. */
  readonly prometheus: Pick<EmbeddedPrometheus, 'graphOf'> | string
  /** The viewer's page, where it is up already. */
  readonly traces: string | undefined
  /** `null`: API_KEYS names one. */
  readonly adminKey: string | null
  readonly keyFile: string | undefined
  readonly logFile: string
  /** For another shell; nothing where the environment names the servers anyway. */
  readonly exports: string | undefined
  readonly endsByItself: boolean
}

export function addressLines(addresses: Addresses): string[] {
  const { url, prometheus, traces, adminKey, keyFile, exports, endsByItself } = addresses
  const rows: (readonly [string, string])[] = [
    ['Search page', url],
    ['Console', `${url}/admin`],
    ['Metrics', addresses.metricsUrl],
    ['Prometheus', typeof prometheus === 'string' ? prometheus : prometheus.graphOf(FIRST_GRAPH)],
    ...(traces === undefined ? [] : [['Traces', traces] as const]),
    ['Health', `${url}/readyz?verbose`],
    ['Admin key', adminKey ?? 'one of API_KEYS'],
    ...(keyFile === undefined ? [] : [['', keyFile] as const]),
    ['Kafka', addresses.kafka],
    ['Postgres', maskUrl(addresses.database)],
    ['Log', addresses.logFile],
  ]
  return [
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(12)} ${paint('cyan', value)}`),
    '',
    ...(exports === undefined ? [] : ['  For bin/holdfast in another shell:', paint('cyan', exports), '']),
    ...(endsByItself ? [] : ['  Ctrl-C stops all of it.', '']),
  ]
}

export interface Summary {
  readonly counts: StreamCounts
  readonly produced: number
  readonly seconds: number
  readonly verify: 'ok' | 'failed'
}

export function summaryOf({ counts, produced, seconds, verify }: Summary, json: boolean): string {
  const rounded = Math.round(seconds * 1000) / 1000
  const perSecond = Math.round(produced / seconds)
  const { dead_lettered, ...counted } = counts
  if (json) {
    return JSON.stringify({
      produced,
      ...counted,
      dead_lettered,
      seconds: rounded,
      orders_per_second: perSecond,
      verify,
    })
  }
  const reasons = Object.entries(dead_lettered).map(([reason, n]) => `${reason} ${grouped(n)}`)
  const rows = [
    ['produced', grouped(produced)],
    ...Object.entries(counted).map(([name, n]) => [name, grouped(n)]),
    ['dead-lettered', reasons.length === 0 ? '0' : reasons.join(', ')],
    ['seconds', String(rounded)],
    ['orders/s', grouped(perSecond)],
    ['verify', verify === 'ok' ? paint('green', 'ok') : paint('red', 'failed')],
  ]
  return rows.map(([name = '', value = '']) => `${name.padEnd(14)} ${value}`).join('\n')
}
