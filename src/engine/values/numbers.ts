/** A number of JSON text as its digits and the power of ten of the last one: `-12.50` is `{ digits: '125', exponent: -1 }`. */
export interface Decimal {
  /** Without zeros at either end; `''` for zero. */
  readonly digits: string
  readonly exponent: number
}

const NUMBER = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/

/** @param text a number as JSON or JavaScript writes it */
export function decimalOf(text: string): Decimal {
  const [, whole = '', fraction = '', power = '0'] = NUMBER.exec(text) ?? []
  const all = (whole + fraction).replace(/^0+/, '')
  const digits = all.replace(/0+$/, '')
  if (digits === '') return { digits, exponent: 0 }
  return { digits, exponent: Number(power) - fraction.length + all.length - digits.length }
}

/**
 * Whether a number is a whole multiple of another, as decimals: 19.99 is one of 0.01, although the division of the doubles gives
 * 1998.9999999999998.
 */
export function isMultipleOf(value: number, divisor: number): boolean {
  if (Number.isSafeInteger(value) && Number.isSafeInteger(divisor)) return value % divisor === 0
  if (!Number.isFinite(value)) return false
  const [sent, unit] = [decimalOf(String(value)), decimalOf(String(divisor))]
  const least = Math.min(sent.exponent, unit.exponent)
  const whole = ({ digits, exponent }: Decimal) => BigInt(digits) * 10n ** BigInt(exponent - least)
  return whole(sent) % whole(unit) === 0n
}

/**
 * A number whose text has other digits than the nearest double, which is what `JSON.parse` gives: `9007199254740993`,
 * `0.12345678901234567890`, `1e400`. The rule for "exact" is that the shortest text of the double is the same decimal as the text.
 */
export class Rounded {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

/** Only numbers with more than 15 digits, or with an exponent, can be rounded. It may also match within a text, which costs time only. */
const MAYBE_ROUNDED = /[[:,\s]-?(?:\d[\d.]{15}|\d+(?:\.\d+)?[eE])/

/**
 * @param text valid JSON
 * @returns the parsed value with a {@link Rounded} in place of each number that was rounded; `undefined` when there is none
 */
export function parseRounded(text: string): unknown {
  if (!MAYBE_ROUNDED.test(` ${text}`)) return undefined
  let found = false
  const value: unknown = JSON.parse(text, (_key, parsed: unknown, context?: { readonly source?: string }) => {
    if (typeof parsed !== 'number' || context?.source === undefined) return parsed
    const [sent, kept] = [decimalOf(context.source), decimalOf(String(parsed))]
    if (Number.isFinite(parsed) && sent.digits === kept.digits && sent.exponent === kept.exponent) return parsed
    found = true
    return new Rounded(parsed)
  })
  return found ? value : undefined
}

/** A column that holds numbers exactly, or not at all. */
export type NumberColumn =
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'decimal'; readonly whole: number; readonly scale: number }
  | { readonly type: 'float4' }

/** Limits of Postgres for `numeric` without precision. */
const ANY_DECIMAL = { type: 'decimal', whole: 131_072, scale: 16_383 } as const

/** @returns `undefined` for a type that holds each double as it is, or is none of numbers */
export function numberColumn(type: string): NumberColumn | undefined {
  const name = type.trim().toLowerCase()
  switch (name) {
    case 'smallint':
    case 'int2':
      return { type: 'integer', minimum: -(2 ** 15), maximum: 2 ** 15 - 1 }
    case 'integer':
    case 'int':
    case 'int4':
      return { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }
    case 'real':
    case 'float4':
      return { type: 'float4' }
    case 'numeric':
    case 'decimal':
      return ANY_DECIMAL
  }
  const [, precision, scale = '0'] = /^(?:numeric|decimal)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)$/.exec(name) ?? []
  if (precision === undefined) return undefined
  return { type: 'decimal', whole: Number(precision) - Number(scale), scale: Number(scale) }
}
