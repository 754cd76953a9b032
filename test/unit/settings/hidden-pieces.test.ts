import { expect, it } from 'vitest'
import { hiddenPieces } from '#src/settings/setting.ts'
import { SETTINGS } from '#src/settings/settings.ts'

it.each<[keyof typeof SETTINGS, string, readonly string[]]>([
  ['KAFKA_SASL_PASSWORD', 'hunter2 %', ['hunter2 %']],
  ['DATABASE_URL', 'postgres://u:hunter%2F2@h:5432/d', ['hunter%2F2', 'hunter/2']],
  ['DATABASE_URL', 'postgres://u:hunter2@h1:1,h2:2/d', ['hunter2']],
  ['KAFKA_CONFIG', 'fetch.min.bytes=1, ssl.key.password=hunter2', ['hunter2']],
  ['KAFKA_SASL_OAUTH_TOKEN_COMMAND', `sign --secret='hunter 2' --region eu`, ['hunter 2']],
  ['KAFKA_BROKERS', 'h:9092', []],
])('the secrets that %s holds are known one by one: %s', (name, text, secrets) => {
  const pieces = hiddenPieces(text, SETTINGS[name].shown(text))
  expect(pieces).toEqual(expect.arrayContaining([...secrets]))
  if (secrets.length === 0) expect(pieces).toEqual([])
})
