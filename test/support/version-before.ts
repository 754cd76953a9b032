import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { it, onTestFinished } from 'vitest'

/** The release that runs beside this one while it is rolled out. To be set anew with each release. */
export const VERSION_BEFORE = { version: '0.1.0', commit: '07710886af58ffa7509c22065ebbf95b284ed015' } as const

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Built by the set-up, so that it cannot be installed without scripts. */
const NATIVE = 'node_modules/@confluentinc/kafka-javascript'

/** A scenario that runs the version before, out of the history of this repository. Where that is not to be had it is skipped, by a name that says so. */
export function itWithVersionBefore(name: string, test: (checkout: string) => Promise<void>): void {
  const lacking = whatIsLacking()
  if (lacking === undefined) it(name, async () => await test(aCheckout()))
  else it.skip(`${name}: skipped, because version ${VERSION_BEFORE.version} cannot be run here: ${lacking}`)
}

/** A folder with that version, ready to run. Goes with the test. */
function aCheckout(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-before-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const archive = git('archive', '--format=tar', VERSION_BEFORE.commit)
  execFileSync('tar', ['-x', '-C', folder], { input: archive })
  if (isDeepStrictEqual(dependencies(lockBefore()), dependencies(lockNow()))) {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    return folder
  }
  execFileSync('npm', ['ci', '--omit=dev', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  rmSync(join(folder, NATIVE), { recursive: true })
  symlinkSync(join(ROOT, NATIVE), join(folder, NATIVE))
  return folder
}

function whatIsLacking(): string | undefined {
  try {
    git('cat-file', '-e', `${VERSION_BEFORE.commit}^{commit}`)
  } catch {
    return `its commit ${VERSION_BEFORE.commit.slice(0, 7)} is not in this repository (a shallow clone has no history: git fetch --unshallow)`
  }
  const [before, now] = [lockBefore(), lockNow()].map(of => dependencies(of)[NATIVE])
  return before === now ? undefined : `it needs ${NATIVE} ${before}, and the set-up has built ${now}`
}

type Lock = { readonly packages: Readonly<Record<string, { readonly version?: string; readonly dev?: boolean }>> }

function lockBefore(): Lock {
  return JSON.parse(git('show', `${VERSION_BEFORE.commit}:package-lock.json`).toString()) as Lock
}

function lockNow(): Lock {
  return JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock
}

/** Versions of what a service runs with, by the folders of the packages. */
function dependencies({ packages }: Lock): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    Object.entries(packages)
      .filter(([folder, { dev }]) => folder !== '' && dev !== true)
      .map(([folder, { version }]) => [folder, version]),
  )
}

function git(...args: string[]): Buffer {
  return execFileSync('git', args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1024 ** 3 })
}
