import { describe, expect, it } from 'vitest'
import { isDatabaseUrl, throughOneHost, urlsOfHosts } from '#src/engine/postgres/database-url.ts'

describe('a URL with several hosts', () => {
  it.each([
    ['postgres://u:p@h:1/d?a=b', ['postgres://u:p@h:1/d?a=b']],
    ['postgres://u:a,b@h/d', ['postgres://u:a,b@h/d']],
    ['postgres://h1:1,h2:2/d', ['postgres://h1:1/d', 'postgres://h2:2/d']],
    ['postgresql://u:a,b@h1,[::1]:2/d?x=1', ['postgresql://u:a,b@h1/d?x=1', 'postgresql://u:a,b@[::1]:2/d?x=1']],
    ['postgres://h1,h2/d?target_session_attrs=read-write', ['postgres://h1/d', 'postgres://h2/d']],
    ['postgres://h1,h2/d?target_session_attrs=primary&x=1', ['postgres://h1/d?x=1', 'postgres://h2/d?x=1']],
    ['postgres://h1,h2/d?x=1&target_session_attrs=primary', ['postgres://h1/d?x=1', 'postgres://h2/d?x=1']],
    ['postgres://h1,h2/d?x=1&target_session_attrs=primary&y=2', ['postgres://h1/d?x=1&y=2', 'postgres://h2/d?x=1&y=2']],
  ])('%s is one for each', (url, expected) => {
    expect(urlsOfHosts(url)).toEqual(expected)
  })

  it.each([
    ['postgres://h1:1,h2:2/d', true],
    ['postgres://h1:1,h2:2/d?target_session_attrs=read-write', true],
    ['postgres://h1:1,h2:2/d?target_session_attrs=any', false],
    ['postgres://h1:1,h2:2/d?target_session_attrs=standby', false],
    ['postgres://h1:1,h2:x/d', false],
    ['postgres://h1:1,/d', false],
    ['postgres://h1,h2/', false],
    ['http://h1,h2/d', false],
  ])('%s can be used: %s', (url, can) => {
    expect(isDatabaseUrl(url)).toBe(can)
  })

  it('keeps its hosts where the rest is changed', () => {
    const secret = (url: string) => url.replace(':pw@', ':***@')
    expect(throughOneHost('postgres://u:pw@h1:1,h2/d', secret)).toBe('postgres://u:***@h1:1,h2/d')
    expect(throughOneHost('postgres://u:pw@h1/d', secret)).toBe('postgres://u:***@h1/d')
  })
})
