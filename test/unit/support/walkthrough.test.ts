import { marked } from 'marked'
import { expect, it } from 'vitest'
import { shows, stepsOf } from '../../support/walkthrough.ts'

const page = (text: string) => ({ path: 'page.md', text, tokens: marked.lexer(text) })

it('takes commands, files and what runs on out of a page, and of a section only its own', () => {
  const text = [
    '# Page\n\n## One\n\n```sh\nholdfast lag\n```\n',
    '<!-- file: a.json -->\n```json\n{}\n```\n\n<!-- runs on -->\n```sh\nholdfast serve\n```\n',
    '## Two\n\n```console\n$ holdfast config \\\n    --json\n{"name":…\n$ holdfast verify\nok\n```\n\n<!-- not run -->\n```sh\nrm x\n```\n',
  ].join('\n')
  const one = [
    { kind: 'command', script: 'holdfast lag', shown: undefined, runsOn: false },
    { kind: 'file', path: 'a.json', text: '{}\n' },
    { kind: 'command', script: 'holdfast serve', shown: undefined, runsOn: true },
  ]
  const two = [
    { kind: 'command', script: 'holdfast config \\\n    --json', shown: '{"name":…\n', runsOn: false },
    { kind: 'command', script: 'holdfast verify', shown: 'ok', runsOn: false },
  ]
  expect(stepsOf(page(text))).toEqual([...one, ...two])
  expect(stepsOf(page(text), 'One')).toEqual(one)
  expect(stepsOf(page(text), 'Two')).toEqual(two)
})

it.each([
  ['ok', 'ok\n', true],
  ['ok', 'no', false],
  ['a …\nb', 'a 12 s\nb\n', true],
  ['a …\nb', 'a 12 s\nc\nb\n', false],
  ['a\n…\nb', 'a\n1\n2\nb', true],
  ['a\n…\nb', 'a\nb', true],
  ['a\n…', 'a\n1\n2', true],
  ['a\n…\nb', 'a\n1\n2\nc', false],
  ['count  …  done', 'count      5 done', true],
  ['1 (a) [b] $', '1 (a) [b] $', true],
  ['', '', true],
  ['', 'something', false],
])('%j shows %j: %s', (shown, said, expected) => {
  expect(shows(shown, said)).toBe(expected)
})
