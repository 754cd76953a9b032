/**
 * Whether the client holds this version already. If-None-Match compares weakly (RFC 9110 §13.1.2): a proxy that
 * compressed the answer has put `W/` before our tag, and still means the same version.
 * @param ifNoneMatch the header, a list of tags or `*`
 * @param etag ours, with its quotes; without commas inside
 */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some(candidate => candidate.trim().replace(/^W\//, '') === etag)
}
