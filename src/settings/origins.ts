import { readSecretFile } from './secret-files.ts'
import { hiddenPieces, Mismatch } from './setting.ts'
import { SETTINGS, type SettingName, settings } from './settings.ts'

/** What `process.env` is. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The text of a setting, and where it comes from. */
interface Effective {
  readonly text: string | undefined
  readonly origin: 'default' | 'environment' | 'file'
  /** Where the text was read. */
  readonly file?: string
  /** Why there is no text. */
  readonly problem?: string
}

/** Its own text, a file's, or the default. An empty variable is an unset one: compose files cannot leave one out. */
export function effective(env: Environment, name: SettingName): Effective {
  const given = env[name]
  const isSet = given !== undefined && given.trim() !== ''
  const file = fileOf(env, name)
  if (file === undefined) {
    return isSet ? { text: given, origin: 'environment' } : { text: SETTINGS[name].default, origin: 'default' }
  }
  if (isSet) {
    return { text: undefined, origin: 'file', problem: `${name} and ${name}_FILE are both set: leave one of them out` }
  }
  const text = readSecretFile(file)
  if (!(text instanceof Mismatch)) return { text, origin: 'file', file }
  return { text: undefined, origin: 'file', problem: `${name}_FILE is "${file}": it must be ${text.expected}` }
}

/** Whether it has a value of its own, one that can be used or not. */
export function isGiven(env: Environment, name: SettingName): boolean {
  return effective(env, name).origin !== 'default'
}

/** The file that holds a setting; `undefined` where it has none, or may have none. */
function fileOf(env: Environment, name: SettingName): string | undefined {
  const path = SETTINGS[name].inFile ? env[`${name}_FILE`] : undefined
  return path === undefined || path.trim() === '' ? undefined : path
}

/** The settings that are in files, with the paths. */
export function filesOf(env: Environment): ReadonlyMap<SettingName, string> {
  const files = settings().map(([name]) => [name, fileOf(env, name)] as const)
  return new Map(files.filter((entry): entry is [SettingName, string] => entry[1] !== undefined))
}

/** What the settings hide. A program that is given the environment may repeat it. */
export function secretsOf(env: Environment): string[] {
  return settings().flatMap(([name, { shown }]) => {
    const { text } = effective(env, name)
    return text === undefined ? [] : hiddenPieces(text, shown(text))
  })
}
