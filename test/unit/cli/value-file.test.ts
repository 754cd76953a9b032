import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readValues, splitValues } from '#src/cli/value-file.ts'
import { UsageError } from '#src/engine/errors.ts'

const split = (text: string) => splitValues(Buffer.from(text)).map(String)

describe('a file of values', () => {
  it.each([
    ['one object as it stands, with its newline', '{"a":1}\n', ['{"a":1}\n']],
    ['one pretty-printed object', '{\n  "a": 1\n}', ['{\n  "a": 1\n}']],
    ['the elements of an array', '[{"a":1}, {"b":[1,2]}\n]', ['{"a":1}', '{"b":[1,2]}']],
    ['brackets, commas and quotes in strings', '["a,]}\\"{", {"b":"[\\\\"}]', ['"a,]}\\"{"', '{"b":"[\\\\"}']],
    [
      'numbers that parsing would change',
      '[9007199254740993, 1e400, -0, 1.0]',
      ['9007199254740993', '1e400', '-0', '1.0'],
    ],
    ['repeated keys', '[{"a":1,"a":2}]', ['{"a":1,"a":2}']],
    ['an empty array', ' [ ] ', []],
    ['lines', '{"a":1}\r\n\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
    ['lines of which some are broken', '{"a":1}\n{"b":\nnope', ['{"a":1}', '{"b":', 'nope']],
    ['one value that is broken', '{\n  "a": 1,\n', ['{\n  "a": 1,\n']],
    ['no JSON at all', 'hello', ['hello']],
    ['nothing', ' \n\n', []],
  ])('gives %s', (_, text, expected) => {
    expect(split(text)).toEqual(expected)
  })

  it('keeps bytes that are not UTF-8', () => {
    const bytes = Buffer.from([0x7b, 0xff, 0xfe, 0x7d])
    expect(splitValues(bytes)).toEqual([bytes])
  })

  it('names what is wrong with a path', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
    try {
      const empty = join(folder, 'empty.json')
      writeFileSync(empty, '')
      await expect(readValues(join(folder, 'none.json'))).rejects.toThrow(/no such file/)
      await expect(readValues(folder)).rejects.toThrow(/a directory/)
      await expect(readValues(empty)).rejects.toThrow(/holds no value/)
      await expect(readValues(empty)).rejects.toBeInstanceOf(UsageError)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
