import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readOrders, splitOrders, uidOf } from '#src/cli/order-file.ts'
import { UsageError } from '#src/core/errors.ts'

const split = (text: string) => splitOrders(Buffer.from(text)).map(String)

describe('a file of orders', () => {
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
    ['one order that is broken', '{\n  "a": 1,\n', ['{\n  "a": 1,\n']],
    ['no JSON at all', 'hello', ['hello']],
    ['nothing', ' \n\n', []],
  ])('gives %s', (_, text, expected) => {
    expect(split(text)).toEqual(expected)
  })

  it('keeps bytes that are not UTF-8', () => {
    const bytes = Buffer.from([0x7b, 0xff, 0xfe, 0x7d])
    expect(splitOrders(bytes)).toEqual([bytes])
  })

  it('names what is wrong with a path', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
    try {
      const empty = join(folder, 'empty.json')
      writeFileSync(empty, '')
      await expect(readOrders(join(folder, 'none.json'))).rejects.toThrow(/no such file/)
      await expect(readOrders(folder)).rejects.toThrow(/a directory/)
      await expect(readOrders(empty)).rejects.toThrow(/holds no order/)
      await expect(readOrders(empty)).rejects.toBeInstanceOf(UsageError)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('the key of an order', () => {
  it.each([
    ['{"order_uid":"a"}', 'a'],
    ['\ufeff{"order_uid":"../b"}', '../b'],
    ['{"order_uid":""}', null],
    ['{"order_uid":5}', null],
    ['{"__proto__":{"order_uid":"a"}}', null],
    ['[{"order_uid":"a"}]', null],
    ['null', null],
    ['{', null],
  ])('%s: %s', (text, uid) => {
    expect(uidOf(Buffer.from(text))).toBe(uid)
  })
})
