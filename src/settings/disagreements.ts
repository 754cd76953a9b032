import { disagreementsOf } from '../engine/kafka/properties.ts'
import { hostNameOfAddress, isLoopbackName } from './hosts.ts'
import { filesOfKafka, filesOfPostgres, refusedInUrl } from './nested-settings.ts'
import type { SettingName, Values } from './settings.ts'

/** Settings that are right one by one and wrong together, a line each. What could not be read is left out. */
export function disagreements(values: Partial<Values>): string[] {
  const problems: string[] = []
  const { KAFKA_SECURITY_PROTOCOL: protocol = 'plaintext', HTTP_HOST: host, AUTH: auth } = values
  problems.push(...saslProblems(values))
  const tls = [
    ...(['KAFKA_SSL_CA_LOCATION', 'KAFKA_SSL_CERTIFICATE_LOCATION', 'KAFKA_SSL_KEY_LOCATION'] as const),
    'KAFKA_SSL_KEY_PASSWORD' as const,
  ]
  for (const name of tls) {
    if (values[name] !== undefined && !protocol.endsWith('ssl')) {
      problems.push(`${name} is set, but KAFKA_SECURITY_PROTOCOL is ${protocol}: it must be ssl or sasl_ssl`)
    }
  }
  if ((values.KAFKA_SSL_CERTIFICATE_LOCATION === undefined) !== (values.KAFKA_SSL_KEY_LOCATION === undefined)) {
    problems.push('KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION must be set together, or neither')
  }
  if (values.KAFKA_TOPIC !== undefined && values.KAFKA_TOPIC === values.KAFKA_DLQ_TOPIC) {
    problems.push(`KAFKA_DLQ_TOPIC is "${values.KAFKA_DLQ_TOPIC}": it must be another topic than KAFKA_TOPIC`)
  }
  const { HTTP_PORT: port = 0, METRICS_PORT: metricsPort, METRICS_HOST: metricsHost } = values
  if (port > 0 && metricsPort === port && metricsHost === host) {
    problems.push(`METRICS_PORT is "${metricsPort}": it must be another port than HTTP_PORT`)
  }
  for (const problem of disagreementsOf(values.KAFKA_CONFIG ?? {})) problems.push(`KAFKA_CONFIG: ${problem}`)
  const { RETRY_INITIAL_MS: initialMs = 0, RETRY_MAX_MS: maxMs = Number.POSITIVE_INFINITY } = values
  if (maxMs < initialMs) {
    problems.push(`RETRY_MAX_MS is "${maxMs}": it must be at least RETRY_INITIAL_MS (${initialMs})`)
  }
  const { STUCK_AFTER_MS: stuckAfterMs = 0, PG_STATEMENT_TIMEOUT_MS: statementTimeoutMs = 0 } = values
  if (stuckAfterMs > 0 && stuckAfterMs <= statementTimeoutMs) {
    problems.push(
      `STUCK_AFTER_MS is "${stuckAfterMs}": it must be more than PG_STATEMENT_TIMEOUT_MS (${statementTimeoutMs}), or 0; ` +
        'a statement that may take so long is not stuck',
    )
  }
  problems.push(...filesOfKafka(values.KAFKA_CONFIG ?? {}))
  for (const setting of ['DATABASE_URL', 'DATABASE_DIRECT_URL'] as const) {
    const url = values[setting]
    if (url === undefined) continue
    problems.push(...filesOfPostgres(setting, url))
    for (const name of refusedInUrl(url)) {
      problems.push(
        `${setting} holds ${name}, which would replace a value of Holdfast: leave it out (PG_STATEMENT_TIMEOUT_MS bounds statements)`,
      )
    }
  }
  // Keys that cannot be parsed have a message of their own.
  const hasKeys = values.API_KEYS === undefined || values.API_KEYS.length > 0
  if (host !== undefined && auth === 'on' && !hasKeys && !isLoopbackName(hostNameOfAddress(host))) {
    problems.push(
      `HTTP_HOST is "${host}", which others can reach: it must be 127.0.0.1, unless API_KEYS says who may, or AUTH=off that all may`,
    )
  }
  return problems
}

const PASSWORD_LOGIN = ['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const
const OAUTH_CLIENT = ['KAFKA_SASL_OAUTH_CLIENT_ID', 'KAFKA_SASL_OAUTH_CLIENT_SECRET'] as const
const OAUTH = [
  'KAFKA_SASL_OAUTH_TOKEN_URL',
  ...OAUTH_CLIENT,
  'KAFKA_SASL_OAUTH_SCOPE',
  'KAFKA_SASL_OAUTH_EXTENSIONS',
  'KAFKA_SASL_OAUTH_TOKEN_COMMAND',
] as const

/** Which of the settings of SASL belong together. */
function saslProblems(values: Partial<Values>): string[] {
  const { KAFKA_SECURITY_PROTOCOL: protocol = 'plaintext', KAFKA_SASL_MECHANISM: mechanism } = values
  const isSet = (name: SettingName) => values[name] !== undefined && !isEmpty(values[name])
  const needed = (because: string, names: readonly SettingName[]) =>
    names.filter(name => !isSet(name)).map(name => `${name} is not set: ${because} needs it`)
  const unneeded = (because: string, names: readonly SettingName[]) =>
    names.filter(isSet).map(name => `${name} is set, but ${because}`)
  if (!protocol.startsWith('sasl')) {
    const because = `KAFKA_SECURITY_PROTOCOL is ${protocol}: it must be sasl_ssl or sasl_plaintext`
    return unneeded(because, ['KAFKA_SASL_MECHANISM', ...PASSWORD_LOGIN, ...OAUTH])
  }
  const because = `KAFKA_SECURITY_PROTOCOL=${protocol}`
  if (mechanism === undefined) return needed(because, ['KAFKA_SASL_MECHANISM', ...PASSWORD_LOGIN])
  if (mechanism !== 'OAUTHBEARER') {
    const other = `KAFKA_SASL_MECHANISM is ${mechanism}: it must be OAUTHBEARER`
    return [...needed(because, PASSWORD_LOGIN), ...unneeded(other, OAUTH)]
  }
  const problems = unneeded('KAFKA_SASL_MECHANISM is OAUTHBEARER, which has none: leave it out', PASSWORD_LOGIN)
  if (isSet('KAFKA_SASL_OAUTH_TOKEN_COMMAND')) {
    const byCommand = 'KAFKA_SASL_OAUTH_TOKEN_COMMAND gets the tokens: leave one of them out'
    return [
      ...problems,
      ...unneeded(byCommand, ['KAFKA_SASL_OAUTH_TOKEN_URL', ...OAUTH_CLIENT, 'KAFKA_SASL_OAUTH_SCOPE']),
    ]
  }
  if (!isSet('KAFKA_SASL_OAUTH_TOKEN_URL')) {
    const what = 'KAFKA_SASL_OAUTH_TOKEN_URL or KAFKA_SASL_OAUTH_TOKEN_COMMAND must be set'
    return [...problems, `${what}: KAFKA_SASL_MECHANISM=OAUTHBEARER needs one of them`]
  }
  return [...problems, ...needed('KAFKA_SASL_OAUTH_TOKEN_URL', OAUTH_CLIENT)]
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
