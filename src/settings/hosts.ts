/** Names by which a client reaches an HTTP server: how they are written, and which of them are this machine's own. */

/** `localhost` and the loopback addresses, in the form that {@link hostNameOf} gives. */
const LOOPBACK_NAME = /^(?:localhost|127(?:\.\d{1,3}){3}|::1|::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4})$/

/**
 * The name in a `Host` header or an authority, in one form: lower case, without port, brackets and final dot, IPv6 shortened.
 * @returns `undefined` when it is no `name` or `name:port`
 */
export function hostNameOf(authority: string): string | undefined {
  if (!/^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?$/i.test(authority)) return undefined
  const name = URL.parse(`http://${authority}/`)?.hostname
  return name === undefined || name === '' ? undefined : name.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

/** The same for an address or name without port, in which IPv6 needs no brackets (`HTTP_HOST`). */
export function hostNameOfAddress(address: string): string | undefined {
  const isBareIpv6 = /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(address)
  return hostNameOf(isBareIpv6 ? `[${address}]` : address)
}

/** @param name in the form of {@link hostNameOf} */
export function isLoopbackName(name: string | undefined): boolean {
  return name !== undefined && LOOPBACK_NAME.test(name)
}
