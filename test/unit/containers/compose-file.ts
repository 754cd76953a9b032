import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'

export const ROOT = new URL('../../../', import.meta.url)

/** What the tests ask of a service; all else is left to Compose's own loader. */
export interface ComposeService {
  readonly image: string
  readonly build?: unknown
  readonly command?: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly environment?: Readonly<Record<string, string | number>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly profiles?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck: { readonly test: readonly string[] } | { readonly disable: true }
  readonly restart?: string
  readonly stop_grace_period?: string
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
  readonly tmpfs?: readonly string[]
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly volumes: Readonly<Record<string, unknown>>
}

export const composeText = textOf('docker-compose.yml')

/** As Compose reads it with these variables, of the three forms that the file uses: `${N}`, `${N:-default}`, `${N:+text}`. */
export function composeFile(variables: Readonly<Record<string, string | undefined>> = {}): ComposeFile {
  const text = composeText.replace(/\$\{(\w+)(?::([-+])([^}]*))?\}/g, (_, name: string, form?: string, word = '') => {
    const value = variables[name] ?? ''
    if (form === '+') return value === '' ? '' : word
    return value === '' ? word : value
  })
  return parse(text, { merge: true }) as ComposeFile
}

export function textOf(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8')
}

export function isThere(path: string): boolean {
  return existsSync(new URL(path, ROOT))
}
