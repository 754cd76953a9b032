import { BrokerUnavailableError } from '#src/engine/errors.ts'

/** An unsigned token with these claims, as an identity provider's looks. */
export const jwt = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`

/** The error that asking for a token ends with. */
export async function failureOf(attempt: Promise<unknown>): Promise<BrokerUnavailableError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof BrokerUnavailableError) return error
  throw new Error(`it did not fail as it should: ${error}`)
}
