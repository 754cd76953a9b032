/**
 * PgBouncer as this machine has it, or as Debian's packages hold it: fetched once into the user's cache, not installed. Of two kinds: that of
 * Debian 12 (1.18), which knows nothing of prepared statements, and a newer one that keeps account of them.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  accessSync,
  constants,
  globSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir, removeAbandoned } from '#tools/demo/servers/machine.ts'

const run = promisify(execFile)

export interface PgBouncerProgram {
  readonly version: string
  /** Whether `max_prepared_statements` is a setting of it. */
  readonly keepsStatements: boolean
  /** What has to be copied to where another user can reach it; absent: it is there. */
  readonly dir?: string
  /** Program and first arguments, with `dir` copied to `at`. */
  command(at: string): readonly string[]
}

export interface PgBouncers {
  readonly programs: readonly PgBouncerProgram[]
  /** What is not to be had, in words. */
  readonly missing: readonly string[]
}

const RETRY_AFTER_MS = 3_600_000
const FETCH_TIMEOUT_MS = 300_000
/** The first release of Debian whose PgBouncer keeps account of statements. */
const NEWER_RELEASE = 'trixie'
const APT = ['-qq', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30', '-o', 'APT::Sandbox::User=root']

/** Never rejects: what cannot be had is named. */
export async function findPgBouncers(): Promise<PgBouncers> {
  const installed = await installedProgram()
  const own = installed ?? (await fetched('pgbouncer', unpackOwn))
  if (typeof own !== 'string' && own.keepsStatements) return { programs: [own], missing: [] }
  const newer = await fetched(`pgbouncer-${NEWER_RELEASE}`, unpackNewer)
  const all = [own, newer]
  return {
    programs: all.filter(program => typeof program !== 'string'),
    missing: all.filter(program => typeof program === 'string'),
  }
}

async function installedProgram(): Promise<PgBouncerProgram | undefined> {
  const dirs = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].filter(dir => dir !== '')
  const file = dirs.map(dir => join(dir, 'pgbouncer')).find(isExecutable)
  if (file === undefined) return undefined
  return { ...(await versionOf([file])), command: () => [file] }
}

/** @returns why not, when it is not to be had */
async function fetched(name: string, unpack: (dir: string) => Promise<void>): Promise<PgBouncerProgram | string> {
  const dir = join(cacheDir(), name)
  const failedNote = `${dir}.failed`
  if (statSync(dir, { throwIfNoEntry: false }) === undefined) {
    const triedMs = statSync(failedNote, { throwIfNoEntry: false })?.mtimeMs ?? 0
    if (Date.now() - triedMs < RETRY_AFTER_MS)
      return `${name} could not be fetched lately (rm ${failedNote} tries again)`
    removeAbandoned(`${name}.*.tmp`)
    const unfinished = `${dir}.${randomUUID()}.tmp`
    mkdirSync(unfinished, { recursive: true })
    try {
      await unpack(unfinished)
      renameSync(unfinished, dir)
      rmSync(failedNote, { force: true })
    } catch (error) {
      rmSync(unfinished, { recursive: true, force: true })
      // Unless another process was first.
      if (statSync(dir, { throwIfNoEntry: false }) === undefined) {
        writeFileSync(failedNote, '')
        const said = error instanceof Error && 'stderr' in error && error.stderr ? String(error.stderr) : String(error)
        return `${name} could not be fetched from Debian: ${said.trim().split('\n').at(-1)}`
      }
    }
  }
  const command = (at: string) => commandIn(at)
  return { ...(await versionOf(command(dir))), dir, command }
}

/** With the libraries that were unpacked beside it, by their own loader where there is one. */
function commandIn(dir: string): readonly string[] {
  const libraries = [...new Set(globSync('**/*.so*', { cwd: dir }).map(file => join(dir, file, '..')))].join(':')
  const program = join(dir, 'usr', 'sbin', 'pgbouncer')
  const [loader] = globSync('usr/lib/*/ld-linux*.so.*', { cwd: dir })
  if (loader === undefined) return ['/usr/bin/env', `LD_LIBRARY_PATH=${libraries}`, program]
  return [join(dir, loader), '--library-path', libraries, program]
}

async function versionOf([command = '', ...args]: readonly string[]): Promise<
  Pick<PgBouncerProgram, 'version' | 'keepsStatements'>
> {
  const { stdout } = await run(command, [...args, '--version'])
  const [, version = '', minor = ''] = /PgBouncer (1\.(\d+)\.\d+)/.exec(stdout) ?? []
  if (version === '') throw new Error(`not the version of a PgBouncer: ${stdout}`)
  return { version, keepsStatements: Number(minor) >= 21 }
}

/** The package of this machine's own release. */
async function unpackOwn(dir: string): Promise<void> {
  if (process.getuid?.() === 0) await apt(dir, ['update']).catch(() => {})
  const libraries = (await librariesOf(dir, ['pgbouncer'])).filter(name => name !== 'libc6')
  await unpack(dir, ['pgbouncer', ...libraries])
}

/** The package of a later release, with all that it links to, the C library included: it cannot use that of this machine. */
async function unpackNewer(dir: string): Promise<void> {
  const lists = join(dir, 'lists')
  mkdirSync(join(lists, 'partial'), { recursive: true })
  const target = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages', 'Component: main']
  const { stdout } = await apt(dir, target)
  const uri = stdout.split('\n').find(line => /\/debian\/?$/.test(line))
  if (uri === undefined) throw new Error('this machine names no mirror of Debian')
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
  writeFileSync(join(dir, 'sources'), `deb [signed-by=${keyring}] ${uri} ${NEWER_RELEASE} main\n`)
  const elsewhere = [
    ['Dir::Etc::SourceList', join(dir, 'sources')],
    ['Dir::Etc::SourceParts', '/dev/null'],
    ['Dir::State::Lists', lists],
    ['Dir::State::Status', '/dev/null'],
    ['Dir::Cache', join(dir, 'cache')],
    // The rest of the release is of no use.
    ['Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled', 'false'],
    ['Acquire::Languages', 'none'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`])
  await apt(dir, ['update'], elsewhere)
  const found = new Set<string>()
  for (let next = await librariesOf(dir, ['pgbouncer'], elsewhere); next.length > 0; ) {
    for (const name of next) found.add(name)
    next = (await librariesOf(dir, next, elsewhere)).filter(name => !found.has(name))
  }
  await unpack(dir, ['pgbouncer', ...found], elsewhere)
  for (const name of ['lists', 'sources', 'cache']) rmSync(join(dir, name), { recursive: true, force: true })
}

async function librariesOf(
  dir: string,
  packages: readonly string[],
  options: readonly string[] = [],
): Promise<string[]> {
  const { stdout } = await run('apt-cache', ['depends', ...options, ...packages], { cwd: dir })
  const names = [...stdout.matchAll(/^ +(?:Pre)?Depends: (z?lib[^\s<>]+)$/gm)].map(([, name = '']) => name)
  return [...new Set(names)].filter(name => !/-perl$|^libperl|-common$|-cfg$/.test(name))
}

async function unpack(dir: string, packages: readonly string[], options: readonly string[] = []): Promise<void> {
  await apt(dir, ['download', ...packages], options)
  for (const file of readdirSync(dir).filter(name => name.endsWith('.deb'))) {
    await run('dpkg-deb', ['--extract', file, '.'], { cwd: dir })
    rmSync(join(dir, file))
  }
  for (const name of ['usr/share', 'usr/lib/systemd', 'etc', 'var', 'lib/systemd'])
    rmSync(join(dir, name), { recursive: true, force: true })
}

function apt(
  cwd: string,
  args: readonly string[],
  options: readonly string[] = [],
): Promise<{ readonly stdout: string }> {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }
  return run('apt-get', [...args.slice(0, 1), ...APT, ...options, ...args.slice(1)], {
    cwd,
    env,
    timeout: FETCH_TIMEOUT_MS,
  })
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
