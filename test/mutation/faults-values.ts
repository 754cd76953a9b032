import { faultsOf, type Mutation, unit } from './mutation.ts'

const ONE_PASS = unit('engine/one-pass', 'engine/one-pass-schemas', 'engine/postgres/column-arrays')

const VALUES = unit('engine/values/validator', 'streams/orders/order', 'streams/orders/bad-inputs')

/** Decoding, validation, masks, and definitions. */
export const VALUES_FAULTS: readonly Mutation[] = [
  ...faultsOf('engine/values/decode', VALUES, [
    ['a value of the largest size is refused', 'value.length > maxBytes', 'value.length >= maxBytes'],
    ['bytes that are not UTF-8 are taken', '  if (!isUtf8(value)) return undefined\n', ''],
    ['a byte order mark makes a value malformed', 'text.charCodeAt(0) === 0xfeff ? text.slice(1) : text', 'text'],
  ]),
  ...faultsOf('engine/values/instant', VALUES, [
    ['a leap second is another instant', 'second > 59', 'second > 60'],
    ['the zone of an instant is taken the other way round', "'+' ? -zoneMs : zoneMs", "'+' ? zoneMs : -zoneMs"],
    ['the 29th of February of any year is a day', '? 29 : 28', '? 29 : 29'],
    ['decimals of a second are cut off without regard to their place', ".slice(0, 6).padEnd(6, '0')", '.slice(0, 6)'],
  ]),
  ...faultsOf('engine/values/depth', VALUES, [
    ['nesting may be deeper by one', 'depth === MAX_DEPTH', 'depth > MAX_DEPTH'],
  ]),
  ...faultsOf('engine/values/numbers', VALUES, [
    [
      'a number that a double rounds by powers of ten is taken',
      ' && sent.exponent === kept.exponent',
      '',
      {
        survives: 'the nearest double of a decimal is never ten times as large: the same digits have the same exponent',
      },
    ],
  ]),
  ...faultsOf('engine/values/validator', VALUES, [
    [
      'what is not known may nest without end',
      'if (facts.unknownFields && isTooDeep(data))',
      'if (facts.unknownFields && data === undefined)',
    ],
    ['a key of any length is one', 'text.length > 0 && text.length <= MAX_KEY', 'text.length > 0'],
    ['more violations are listed than ten', '.slice(0, MAX_VIOLATIONS)', ''],
  ]),
  ...faultsOf('engine/values/scan/scanner', ONE_PASS, [
    ['a repeated field is taken in one pass', '}] !== 0) return 0', '}] < -9) return 0'],
    ['a field that is required may be missing', 'return seen === ', 'return seen >= 0 || seen === '],
    ['something may follow on the value', 'p !== 0 && space(p) === length', 'p !== 0'],
    ['a text may be too long', 'length(start, p) > ', 'length(start, p) > 9 * '],
    ['bytes that are not UTF-8 are taken in one pass', '!(isAscii(value) || isUtf8(value))', 'false'],
  ]),
  ...faultsOf('engine/values/scan/scalars', ONE_PASS, [
    ['a whole number may have digits that a double does not keep', 'if (at - first > MAX_DIGITS) return 0', ''],
    ['zero may have a sign', 'if (isNegative) return 0', ''],
    ['the zone of an instant is taken the other way round', 'PLUS ? -zone : zone', 'PLUS ? zone : -zone'],
    ['digits beyond a microsecond are cut off without a fact', 'if (unit === 1) return false', ''],
    ['the days of a leap year are counted from January', 'month > 2 ? year : year - 1', 'year'],
  ]),
  ...faultsOf('engine/values/scan/texts', ONE_PASS, [
    ['half a surrogate pair is taken in one pass', '!isStorable(found) || ', ''],
    ['a label of a host may begin with a hyphen', 'byte(first) === HYPHEN || ', ''],
  ]),
  ...faultsOf('engine/values/scan/places', ONE_PASS, [
    ['null is taken where no list of values has it', '&& (values === undefined || values.includes(null))', ''],
  ]),
  ...faultsOf('engine/values/scan/skip', ONE_PASS, [
    ['what is not known may nest deeper by one', 'depth >= MAX_DEPTH', 'depth > MAX_DEPTH'],
    ['a name with an escape is not known', ' || byte(at) === BACKSLASH) return 0', ') return 0'],
  ]),
  ...faultsOf('engine/postgres/row-writer', ONE_PASS, [
    ['a group of a decimal that is 0 is left out', 'if (groups === 0 && group === 0)', 'if (group === 0)'],
    ['rows of a table are not counted', 'count = tape[', 'count = 0 * tape['],
  ]),
  ...faultsOf('engine/postgres/column-arrays', ONE_PASS, [
    ['an array with NULL says that it has none', 'nulls[field] = 1', ''],
  ]),
  ...faultsOf('engine/values/mask', unit('engine/values/mask', 'streams/orders/mask'), [
    [
      'names that the schema does not know are shown',
      'return names.has(name) ? token : JSON.stringify(MASK)',
      'return token',
    ],
    ['an email address in a harmless field is shown', 'if (ADDRESS.test(text) || pattern', 'if (pattern'],
    ['a personal field is shown', '  if (personal.has(pointer)) return NOWHERE\n', ''],
  ]),
  ...faultsOf('engine/definition/plan', unit('engine/definition'), [
    ['the key may be optional', 'if (optional >= 0) {', 'if (optional > 0) {'],
    [
      'a column of a field that may be null is NOT NULL',
      'const nullable = nodes.some(each => !each.required || each.nullable)',
      'const nullable = nodes.some(each => !each.required)',
    ],
    [
      'a column that cannot hold its field is taken',
      'if (!canHold(found, node)) {',
      'if (!canHold(found, node) && found === undefined) {',
    ],
  ]),
  ...faultsOf('engine/definition/column-rules', unit('engine/definition'), [
    ['a uuid in upper case comes back in lower case', 'UUID.test(text)) return []', "text !== '') return []"],
  ]),
]
