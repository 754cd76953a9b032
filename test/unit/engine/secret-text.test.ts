import { describe, expect, it } from 'vitest'
import { quoted } from '#src/engine/secret-text.ts'

describe('what another program has written is quoted', () => {
  it.each([
    ['as it stands, where nothing in it is secret', 'denied: no role for /usr/lib/google/token', undefined],
    ['with the reason behind a word', 'token: connection refused by https://idp.example.com/realms/data', undefined],
    ['without a token of three parts', 'bad eyJhbGciOi.eyJzdWIi.c2ln!', 'bad ***!'],
    [
      'without a token behind its scheme',
      'sent Authorization: Bearer abcdefgh, refused',
      'sent Authorization: Bearer ***, refused',
    ],
    ['without a long code', `denied: ${'a'.repeat(40)}`, 'denied: ***'],
    ['without a key in Base64', 'key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'key ***'],
    ['without a named value', 'POST client_secret=hunter2&scope=a', 'POST client_secret=***&scope=a'],
    ['without a named value in JSON', '{"access_token": "abc", "scope": "a"}', '{"access_token": ***, "scope": "a"}'],
    ['without what is known for a secret, the longest first', 'is it s3cret or s3cret/+ =?', 'is it *** or ***?'],
    ['in one line', 'one\ntwo\u001b[31m', 'one two [31m'],
  ])('%s', (_, text, expected = text) => {
    expect(quoted(text, ['s3cret', 's3cret/+ =', 'a'])).toBe(expected)
  })

  it('in 200 characters, and what is cut leaves no half of a secret', () => {
    const line = quoted(`${'a b '.repeat(49)}${'x'.repeat(60)}`)
    expect(line).toHaveLength(199)
    expect(quoted('ab '.repeat(100))).toHaveLength(200)
    expect(line).not.toContain('xx')
  })
})
