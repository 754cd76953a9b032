/** Whether what stands behind this name (of a setting, an option, a property, a part of a URL) is a secret. */
export function isSecretName(name: string): boolean {
  return /pass|pwd|secret|token|jaas|credential|signature|\bsig\b|api-?key|\bauth|oauthbearer\.(?:config|assertion)|kinit|\.pem\s*$|key\s*$/i.test(
    name,
  )
}

const HIDDEN = '***'
const MAX_LENGTH = 200
/** What is shorter stands in many words by chance, and is no secret to speak of. */
const SECRET_MIN_LENGTH = 4

/**
 * What another program has written, as it may be quoted in an error: one line, bounded, without secrets.
 * @param secrets that are known; what looks like one is hidden besides
 */
export function quoted(text: string, secrets: readonly string[] = []): string {
  const known = secrets.filter(({ length }) => length >= SECRET_MIN_LENGTH).sort((a, b) => b.length - a.length)
  const withoutKnown = known.reduce((line, secret) => line.replaceAll(secret, HIDDEN), text)
  return withoutKnown
    .replace(/\b(bearer|basic)\s+[\w\-+/=.~]{8,}/gi, `$1 ${HIDDEN}`)
    .replace(/\beyJ[\w\-+/=.~]{5,}/g, HIDDEN)
    .replace(/(["']?)([\w.-]+)\1(=|:(?=\s*["'])\s*)("[^"]*"?|'[^']*'?|[^\s"'&,;]+)/g, hideNamed)
    .replace(/[\w\-+=.~]{32,}/g, HIDDEN)
    .replace(/[\w\-+/=.~%]{32,}/g, hideCode)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, MAX_LENGTH)
}

/** `client_secret=abc`, `"client_secret": "abc"`. Not `token: refused`, as people write it. */
function hideNamed(all: string, quote: string, name: string, between: string): string {
  return isSecretName(name) ? `${quote}${name}${quote}${between}${HIDDEN}` : all
}

/** A code in Base64 may hold slashes, as a path does, which seldom has letters of both cases and digits. */
function hideCode(run: string): string {
  return /[a-z]/.test(run) && /[A-Z]/.test(run) && /\d/.test(run) ? HIDDEN : run
}
