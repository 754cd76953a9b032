/**
 * A database may stand on several servers, of which one takes writes: `postgres://user@one:5432,two:5432/database`, as libpq writes it.
 * `pg` knows one host, so the URL is divided before it gets there.
 */

/** Where the list of hosts stands in a URL: behind the last @ of what comes before path and query, since a password may hold commas. */
const PARTS = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^@/?#]*)([/?#].*)?$/s

/** What it may ask for of several hosts. `any` would write to a standby. */
const ATTRIBUTES = ['read-write', 'primary']
const ATTRIBUTE = /([?&])target_session_attrs=([^&#]*)(&|(?=#|$))/

/** One URL for each host, in order; a URL of one host as it stands. */
export function urlsOfHosts(url: string): string[] {
  const [, before = '', hosts = '', after = ''] = PARTS.exec(url) ?? []
  if (!hosts.includes(',')) return [url]
  const rest = after.replace(ATTRIBUTE, (_, mark: string, _value, next: string) => (next === '&' ? mark : ''))
  return hosts.split(',').map(host => `${before}${host}${rest}`)
}

/** The URL of the first host: for what does not depend on the host. */
export function firstUrl(url: string): string {
  return urlsOfHosts(url)[0] ?? url
}

/** @returns what `change` makes of the URL with one host in place of the list, with the list put back */
export function throughOneHost(url: string, change: (url: string) => string): string {
  const [, before = '', hosts = '', after = ''] = PARTS.exec(url) ?? []
  if (!hosts.includes(',')) return change(url)
  const one = 'hosts.invalid'
  return change(`${before}${one}${after}`).replace(one, hosts)
}

/** @returns whether the URL names a database, and each host can be had */
export function isDatabaseUrl(url: string): boolean {
  const urls = urlsOfHosts(url)
  const attribute = ATTRIBUTE.exec(url)?.[2]
  if (urls.length > 1 && attribute !== undefined && !ATTRIBUTES.includes(attribute)) return false
  return urls.every(one => {
    const parsed = URL.parse(one)
    if (parsed === null || !/^postgres(ql)?:$/.test(parsed.protocol) || parsed.pathname.length < 2) return false
    return urls.length === 1 || parsed.hostname !== ''
  })
}
