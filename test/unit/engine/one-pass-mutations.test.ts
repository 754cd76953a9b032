import { expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import type { StreamDefinition } from '#src/engine/definition.ts'
import { createRandom, type Random } from '#src/engine/values/random.ts'
import { orders } from '#src/streams/orders/definition.ts'
import { judgeOnBothRoads } from '../../support/both-roads.ts'
import { rounds } from '../../support/effort.ts'
import { recordsOf, short } from '../../support/one-pass-records.ts'
import { returns } from '../../support/returns-definition.ts'

const names = { topic: 't', dlqTopic: 't.dlq', groupId: 'g', maxBytes: 1 << 20 }
const streams = [orders, returns].map(definition => compileStream(definition as StreamDefinition, names))
/** Of each stream. */
const RUNS = Number(process.env.ONE_PASS_MUTANTS ?? rounds(2_000, 50_000))

it.each(streams)(
  'of records of $name with changed bytes one pass makes the same as the validator, or nothing',
  {
    timeout: 600_000,
  },
  stream => {
    const small = recordsOf(stream, 250).map(short)
    const random = createRandom([5, 6, 7])
    let taken = 0
    for (let i = 0; i < RUNS; i++) {
      const { key, value } = random.pick(small)
      if (judgeOnBothRoads(stream, { key, value: mutated(value, random) }) === 'one pass') taken += 1
    }
    // Both answers are well trodden, else the mutations prove little.
    expect(taken).toBeGreaterThan(RUNS / 10)
    expect(taken).toBeLessThan(RUNS * 0.9)
  },
)

/** Pieces of JSON that mean something. */
const PIECES = [
  ...[
    '"',
    '\\',
    '\\"',
    '\\u0041',
    '\\u0000',
    '\\ud83d',
    '\\n',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    ' ',
    '\n',
    '\0',
    '\u007f',
  ],
  ...[
    '0',
    '-',
    '.',
    'e5',
    '1',
    '-0',
    '1.0',
    '.5',
    '00',
    '9007199254740993',
    '123456789012345',
    'null',
    'true',
    'false',
  ],
  ...['"a":1,', '"":"",', ',"x":[{"y":{}}]', 'я', '😀', '\ufeff', 'Z', '+03:00', '.123456789', 'T', '@', '\u0080'],
]

/** One to three changes: bits, bytes, pieces, fields twice, places exchanged, the end cut off. */
function mutated(value: Buffer | null, random: Random): Buffer {
  let bytes = Buffer.from(value ?? '')
  for (let changes = random.between(1, 3); changes > 0 && bytes.length > 0; changes--) bytes = change(bytes, random)
  return bytes
}

function change(bytes: Buffer<ArrayBuffer>, random: Random): Buffer<ArrayBuffer> {
  const at = random.between(0, bytes.length - 1)
  const piece = Buffer.from(random.pick(PIECES))
  switch (random.between(0, 8)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7))
      return bytes
    case 1:
      bytes[at] = random.between(0, 255)
      return bytes
    case 2:
      return spliced(bytes, at, at + random.between(1, 3), '')
    case 3:
      return spliced(bytes, at, at, piece)
    case 4:
      return spliced(bytes, at, at + piece.length, piece)
    case 5:
      return random.chance(0.1) ? bytes.subarray(0, at) : bytes
  }
  const fields = [...bytes.toString('latin1').matchAll(/"[a-z_]+":(?:"[^"]*"|\d+)/g)]
  if (fields.length === 0) return bytes
  const [field, other] = [random.pick(fields), random.pick(fields)]
  const from = field.index + field[0].indexOf(':') + 1
  const to = field.index + field[0].length
  switch (random.between(0, 2)) {
    case 0:
      return random.chance(0.3) ? spliced(bytes, field.index, field.index, `${field[0]},`, 'latin1') : bytes
    case 1:
      // The value of one field at the place of another's.
      return spliced(bytes, from, to, other[0].slice(other[0].indexOf(':') + 1), 'latin1')
  }
  const inside = field[0].endsWith('"') ? 1 : 0
  return spliced(bytes, from + inside, to - inside, piece)
}

function spliced(
  bytes: Buffer,
  from: number,
  to: number,
  piece: Buffer | string,
  encoding: BufferEncoding = 'utf8',
): Buffer<ArrayBuffer> {
  const middle = typeof piece === 'string' ? Buffer.from(piece, encoding) : piece
  return Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)])
}
