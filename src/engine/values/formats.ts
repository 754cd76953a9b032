import { fullFormats } from 'ajv-formats/dist/formats.js'
import { isInstant } from './instant.ts'

/** A rule for the content of a text, or for a number. */
type Format =
  | RegExp
  | { readonly type: 'number'; readonly validate: (value: number) => boolean }
  | ((text: string) => boolean)

/**
 * The formats that a schema may name: those of ajv-formats, except where Postgres is stricter. A date-time is an instant between 1970 and
 * 9999 (`instant.ts`); a date has a year from 1 on.
 */
export const FORMATS: ReadonlyMap<string, Format> = new Map([
  ...Object.entries(fullFormats).flatMap(([name, format]): [string, Format][] => {
    const known = toFormat(format)
    return known === undefined ? [] : [[name, known]]
  }),
  ['date-time', isInstant],
  ['date', text => !text.startsWith('0000') && isOf(fullFormats.date, text)],
])

function toFormat(format: unknown): Format | undefined {
  if (format instanceof RegExp || typeof format === 'function') return format as Format
  // `password` and `binary` are `true`: names without a rule.
  if (typeof format !== 'object' || format === null || !('validate' in format))
    return format === true ? () => true : undefined
  const validate = format.validate as (value: unknown) => boolean
  return 'type' in format && format.type === 'number' ? { type: 'number', validate } : validate
}

/** Whether a text has the format. @returns false for a format that is not known, or is one of numbers */
export function hasFormat(name: string, text: string): boolean {
  return isOf(FORMATS.get(name), text)
}

function isOf(format: unknown, text: string): boolean {
  if (format instanceof RegExp) return format.test(text)
  if (typeof format === 'function') return format(text) === true
  return typeof format === 'object' && format !== null && 'validate' in format && !('type' in format)
    ? (format.validate as (text: string) => boolean)(text)
    : false
}
