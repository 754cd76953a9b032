/**
 * What package-lock.json promises: each package is pinned by its SHA-512, each that users get has a licence that a program under MIT may
 * be shipped with, and of each that brings a script for its installation package.json says whether it may run. `make lint` runs it; exit
 * code 1 names each that is not so.
 */
import { readFileSync } from 'node:fs'

export interface Locked {
  readonly version?: string
  readonly integrity?: string
  readonly license?: string
  /** Only for the development of Holdfast. */
  readonly dev?: boolean
  readonly link?: boolean
  readonly hasInstallScript?: boolean
}

/** Permissive ones, as SPDX names them. Another one is a decision: look at its terms before it is added. */
const ALLOWED_LICENCES: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Python-2.0',
])

/** @param packages `packages` of the lockfile. @returns a sentence for each problem */
export function lockfileProblems(packages: Readonly<Record<string, Locked>>): string[] {
  return Object.entries(packages).flatMap(([path, { version, integrity, license, dev, link }]) => {
    // The package itself, and what is a link to a folder of this repository.
    if (path === '' || link === true) return []
    const name = `${path.replace(/^.*node_modules\//, '')} ${version}`
    const problems: string[] = []
    if (integrity?.startsWith('sha512-') !== true)
      problems.push(`${name} has no SHA-512: npm would take whatever it gets`)
    if (dev !== true && !isAllowed(license))
      problems.push(`${name} has the licence ${license ?? 'none'}, which is not on the list`)
    return problems
  })
}

/** @param allowed `allowScripts` of package.json. @returns a sentence for each package whose script it neither allows nor denies */
export function scriptProblems(
  packages: Readonly<Record<string, Locked>>,
  allowed: Readonly<Record<string, boolean>>,
): string[] {
  const names = Object.entries(packages)
    .filter(([path, { hasInstallScript, link }]) => path !== '' && hasInstallScript === true && link !== true)
    .map(([path]) => path.replace(/^.*node_modules\//, ''))
  return [...new Set(names)]
    .filter(name => !Object.hasOwn(allowed, name))
    .map(
      name =>
        `${name} runs a script when it is installed, and allowScripts of package.json does not say whether it may`,
    )
}

/** Of "A OR B" one is enough, of "A AND B" each is needed. */
function isAllowed(licence: string | undefined): boolean {
  if (licence === undefined) return false
  return licence
    .replace(/[()]/g, '')
    .split(' OR ')
    .some(choice => choice.split(' AND ').every(one => ALLOWED_LICENCES.has(one)))
}

if (import.meta.main) {
  const lockfile = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
    packages: Record<string, Locked>
  }
  const { allowScripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    allowScripts: Record<string, boolean>
  }
  const problems = [...lockfileProblems(lockfile.packages), ...scriptProblems(lockfile.packages, allowScripts)]
  for (const problem of problems) console.error(`package-lock.json: ${problem}`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
