/** Prometheus and promtool: those of the machine, or those that set-up fetched into the user's cache. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { accessSync, constants, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir, removeAbandoned, SetupError } from './machine.ts'

const run = promisify(execFile)

const howToInstall =
  'on Debian and Ubuntu "apt-get install prometheus", on macOS "brew install prometheus", or put prometheus and promtool ' +
  'from https://prometheus.io/download on the PATH'
const withoutIt = 'The demo goes on without it, and tests that need it are skipped.'

/** Below it lies what Debian's packages hold, as `usr/bin/prometheus`. */
const fetchedDir = (env: NodeJS.ProcessEnv): string => join(cacheDir(env), 'prometheus')
/** Marks a failed fetch; its modification time is that of the last failure. */
const failedNote = (env: NodeJS.ProcessEnv): string => join(cacheDir(env), 'prometheus.failed')
const RETRY_AFTER_MS = 3_600_000
const FETCH_TIMEOUT_MS = 300_000

/** @returns its path; `undefined` when it is neither on the PATH nor fetched */
export function findProgram(name: 'prometheus' | 'promtool', env: NodeJS.ProcessEnv = process.env): string | undefined {
  return [...pathOf(env), join(fetchedDir(env), 'usr', 'bin')].map(dir => resolve(dir, name)).find(isExecutable)
}

function pathOf(env: NodeJS.ProcessEnv): string[] {
  return (env.PATH ?? '').split(delimiter).filter(dir => dir !== '')
}

/** @throws SetupError that names the fix */
export function requirePrometheus(): { readonly program: string; readonly args: readonly string[] } {
  const program = findProgram('prometheus')
  if (program === undefined) throw new SetupError(`Prometheus is not installed: ${howToInstall}.`)
  const fetched = fetchedDir(process.env)
  // Debian's build looks for its pages in /usr/share, where those that were fetched are not.
  const pages = program.startsWith(fetched)
    ? [`--web.local-assets=${join(fetched, 'usr', 'share', 'prometheus', 'web')}`]
    : []
  return { program, args: pages }
}

/** Describes what is missing and how to install it; `undefined` when nothing is. */
export function missingPrometheus(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const missing = (['prometheus', 'promtool'] as const).filter(name => findProgram(name, env) === undefined)
  return missing.length === 0 ? undefined : `${missing.join(' and ')} cannot be found; to have them: ${howToInstall}`
}

/**
 * On Debian, fetches the packages once and unpacks them into the user's cache: they are not installed, so no service of
 * theirs starts, and nothing of the system changes. The folder appears by a rename, whole or not at all.
 * @param mayUpdate whether the system's lists of packages may be brought up to date first; root can
 * @throws SetupError that names the fix, when they are not there and cannot be fetched
 */
export async function fetchPrometheus(
  log: (line: string) => void,
  mayUpdate: boolean,
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  const missing = missingPrometheus(env)
  if (missing === undefined) return
  if (!pathOf(env).some(dir => isExecutable(join(dir, 'apt-get')))) throw new SetupError(`${missing}. ${withoutIt}`)
  const triedMs = statSync(failedNote(env), { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (Date.now() - triedMs < RETRY_AFTER_MS) {
    throw new SetupError(
      `${missing}. (They could not be fetched lately; "rm ${failedNote(env)}" tries again.) ${withoutIt}`,
    )
  }
  log('fetching Prometheus with apt-get: 40 MB, once')
  removeAbandoned('prometheus.*.tmp', env)
  const unfinished = `${fetchedDir(env)}.${randomUUID()}.tmp`
  mkdirSync(unfinished, { recursive: true })
  try {
    await unpack(unfinished, mayUpdate, env)
    renameSync(unfinished, fetchedDir(env))
    rmSync(failedNote(env), { force: true })
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (missingPrometheus(env) === undefined) return // another process finished first
    writeFileSync(failedNote(env), '')
    const said = error instanceof Error && 'stderr' in error && error.stderr ? String(error.stderr) : String(error)
    const reason = said.trim().split('\n').slice(-3).join('\n')
    throw new SetupError(`apt-get could not fetch Prometheus. ${missing}. ${withoutIt}\n${reason}`, { cause: error })
  }
}

async function unpack(dir: string, mayUpdate: boolean, env: NodeJS.ProcessEnv): Promise<void> {
  const options = {
    cwd: dir,
    timeout: FETCH_TIMEOUT_MS,
    env: { ...env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
  }
  const apt = ['-qq', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30']
  // An update may fail for one source while another source has the packages.
  if (mayUpdate) await run('apt-get', ['update', ...apt], options).catch(() => {})
  // Its pages use scripts that are packages of their own; those of rickshaw draw the graphs.
  const { stdout } = await run('apt-cache', ['depends', 'prometheus', 'libjs-rickshaw'], options)
  const scripts = [...stdout.matchAll(/^ +Depends: ((?:libjs|fonts)-\S+)$/gm)].map(([, name = '']) => name)
  const sandbox = ['-o', 'APT::Sandbox::User=root'] // another user could not enter this private folder
  await run('apt-get', ['download', ...apt, ...sandbox, ...new Set(['prometheus', ...scripts])], options)
  for (const file of readdirSync(dir).filter(name => name.endsWith('.deb'))) {
    await run('dpkg-deb', ['--extract', file, '.'], options)
    rmSync(join(dir, file))
  }
  // 200 MB of the history of time zones, of which the pages use none.
  rmSync(join(dir, 'usr', 'share', 'javascript', 'moment-timezone', 'data'), { recursive: true, force: true })
  await run(join(dir, 'usr', 'bin', 'prometheus'), ['--version'], options)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
