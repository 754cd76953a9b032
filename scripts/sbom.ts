/**
 * Writes bills of materials of what users get, by `npm sbom`: holdfast-VERSION.cdx.json (CycloneDX) and .spdx.json. `make sbom`
 *
 * npm's own `--omit dev` also leaves out what is needed by both, users and development. So npm is shown a lockfile that has
 * nothing of development.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Locked } from './check-lockfile.ts'

interface Manifest {
  readonly version: string
  readonly devDependencies?: unknown
}

interface Lockfile {
  readonly packages: Readonly<Record<string, Locked & Manifest>>
}

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const FORMS = { cyclonedx: 'cdx', spdx: 'spdx' } as const

/** @param into the folder for the two files. @returns their paths */
export function writeSboms(into: string): string[] {
  const read = (file: string) => JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as unknown
  const { devDependencies: _, ...manifest } = read('package.json') as Manifest
  const lockfile = read('package-lock.json') as Lockfile
  const packages = Object.entries(lockfile.packages)
    .filter(([, { dev }]) => dev !== true)
    .map(([path, { devDependencies: _, ...entry }]) => [path, entry])
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-sbom-'))
  try {
    // npm names the whole after its folder.
    const cwd = join(scratch, 'holdfast')
    mkdirSync(cwd)
    writeFileSync(join(cwd, 'package.json'), JSON.stringify(manifest))
    writeFileSync(
      join(cwd, 'package-lock.json'),
      JSON.stringify({ ...lockfile, packages: Object.fromEntries(packages) }),
    )
    return Object.entries(FORMS).map(([form, extension]) => {
      const args = ['sbom', '--package-lock-only', '--sbom-type', 'application', '--sbom-format', form]
      const { status, stdout, stderr } = spawnSync('npm', args, { cwd, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
      if (status !== 0) throw new Error(`npm sbom ended with ${status}: ${stderr}`)
      const file = join(into, `holdfast-${manifest.version}.${extension}.json`)
      writeFileSync(file, stdout)
      return file
    })
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

if (import.meta.main) for (const file of writeSboms(process.cwd())) console.log(file)
