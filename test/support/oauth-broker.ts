/** What a broker behind a wire, and the service in front of it, need for tokens that live 30 s. */
import type { KafkaOptions } from '#tools/demo/servers/kafka.ts'
import { startOidcIssuer } from './oidc-issuer.ts'
import { OAUTH, oauthOptions } from './secured-kafka.ts'

export interface OauthBroker extends AsyncDisposable {
  readonly options: KafkaOptions
  /** Settings of the service. */
  readonly env: Readonly<Record<string, string>>
}

/** Without TLS: a wire reads what passes. */
export async function oauthBroker(): Promise<OauthBroker> {
  const issuer = await startOidcIssuer()
  const { systemProperties, properties } = oauthOptions(issuer)
  return {
    options: { proxied: { protocol: 'SASL_PLAINTEXT', properties: OAUTH }, systemProperties, properties },
    env: {
      KAFKA_SECURITY_PROTOCOL: 'sasl_plaintext',
      KAFKA_SASL_MECHANISM: 'OAUTHBEARER',
      KAFKA_SASL_OAUTH_TOKEN_URL: issuer.tokenUrl,
      KAFKA_SASL_OAUTH_CLIENT_ID: issuer.clientId,
      KAFKA_SASL_OAUTH_CLIENT_SECRET: issuer.clientSecret,
    },
    [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose](),
  }
}
