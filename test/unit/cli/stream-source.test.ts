import { describe, expect, it } from 'vitest'
import { definitionSource, variableOf, withStream } from '#src/cli/stream-source.ts'

const one = (lines: string) => `import { defineConfig } from 'holdfast'\n${lines}`

describe('a config with one more stream', () => {
  it.each([
    ['no stream yet', one('export default defineConfig({ streams: [] })\n'), 'streams: [returns]'],
    [
      'a list over lines',
      one('export default defineConfig({\n  streams: [\n    orders,\n  ],\n})\n'),
      'streams: [orders, returns]',
    ],
  ])('has it where the list has %s', (_, config, expected) => {
    const edited = withStream(config, 'returns', 'ts') ?? ''
    expect(edited).toContain(expected)
    expect(edited).toContain("import { defineConfig } from 'holdfast'\nimport returns from './streams/returns.ts'\n")
  })

  it.each([
    ['a comment in the list', one('export default defineConfig({ streams: [orders, // mine\n] })\n')],
    ['two lists', one('const old = { streams: [] }\nexport default defineConfig({ streams: [] })\n')],
    ['a list that is computed', one('export default defineConfig({ streams: [...all] })\n')],
    ['no import', 'export default { streams: [] }\n'],
    ['a file that is broken', one('export default defineConfig({ streams: [orders] }\n')],
  ])('is left to its author with %s', (_, config) => {
    expect(withStream(config, 'returns', 'ts')).toBeUndefined()
  })
})

describe('the source of a definition', () => {
  it('holds texts with quotes, backslashes and line ends as they are', () => {
    const name = 'it\'s a "key" \\ \n'
    const source = definitionSource({
      name: 'a',
      schema: {},
      key: `/${name}`,
      tables: { a: { columns: [`/${name}`] } },
    })
    const written = /key: ('.*'),/.exec(source)?.[1] ?? ''
    // biome-ignore lint/security/noGlobalEval: the text is ours.
    expect(eval(written)).toBe(`/${name}`)
  })

  it('names a variable that a module can have', () => {
    expect(['returns', 'shop-visits', 'new', 'shop_visits', 'schema'].map(variableOf)).toEqual([
      ...['returns', 'shopVisits', 'newStream', 'shopVisits', 'schemaStream'],
    ])
  })
})
