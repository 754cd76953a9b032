import { expect, it } from 'vitest'
import { CSV_HEADER, csvLine } from '#src/inbox/letter-csv.ts'
import { aLetter } from '../../support/memory-letters.ts'

const cellsOf = (line: string) => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map(([, cell]) => cell)

it('has a cell for each column of the index, in the order of the names', () => {
  const { violations: _, ...row } = aLetter(5)
  const names = CSV_HEADER.split(',')
  expect(names.toSorted()).toEqual(Object.keys(row).toSorted())
  const cells = cellsOf(csvLine(row))
  expect(cells[names.indexOf('id')]).toBe('orders-0-5')
  expect(cells[names.indexOf('key')]).toBe('')
  expect(cells[names.indexOf('source_offset')]).toBe('5')
})

it.each([
  ['=1+1', "'=1+1"],
  ['+7 9', "'+7 9"],
  ['-2', "'-2"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['\t=1', "'\t=1"],
  ['\r=1', `"'\r=1"`],
  ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
  ['a,b', '"a,b"'],
  ['a"b', '"a""b"'],
  ['a\nb', '"a\nb"'],
  ['a-b', 'a-b'],
])('%j is safe in a spreadsheet as %j', (message, cell) => {
  expect(csvLine({ ...aLetter(1), message })).toContain(`,${cell},`)
})
