/** What the native client needs to know about the machine. Imports nothing but Node: see native.ts. */
import { spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** The same folder as `cacheDir()` of src/embedded, which is not there yet when an image installs its packages. */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  const xdg = env.XDG_CACHE_HOME
  return join(xdg?.startsWith('/') ? xdg : join(env.HOME || homedir(), '.cache'), 'holdfast')
}

/** All that decides whether a build made elsewhere fits: system, processor, C library, Node's binary interface. */
export function abiKey(): string {
  const libc = process.platform === 'linux' ? `-${libcOf()}` : ''
  return `${process.platform}-${process.arch}${libc}-abi${process.versions.modules}`
}

/** Only Linux has several. */
export function libcOf(): 'glibc' | 'musl' | 'unknown' {
  if (process.platform !== 'linux') return 'unknown'
  return isGlibc() ? 'glibc' : 'musl'
}

function isGlibc(): boolean {
  Object.assign(process.report, { excludeNetwork: true }) // else it looks up the names of open connections
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return report.header?.glibcVersionRuntime !== undefined
}

/** @returns the folder whose `include/node` belongs to this very Node; undefined: node-gyp downloads them. */
export function headersOf(execPath: string): string | undefined {
  const prefix = dirname(dirname(realpathSync(execPath)))
  return existsSync(join(prefix, 'include', 'node', 'node_version.h')) ? prefix : undefined
}

/** Inside npm's scripts npm names its node-gyp; else it is looked for in the npm on the PATH. */
export function nodeGyp(env: NodeJS.ProcessEnv): string | undefined {
  const fromNpm = env.npm_execpath ? [join(dirname(dirname(env.npm_execpath)), 'node_modules')] : []
  const onPath = (env.PATH ?? '')
    .split(':')
    .map(dir => join(dir, 'npm'))
    .filter(file => existsSync(file))
    .map(file => join(dirname(dirname(realpathSync(file))), 'node_modules'))
  const candidates = [...fromNpm, ...onPath].map(modules => join(modules, 'node-gyp', 'bin', 'node-gyp.js'))
  return [env.npm_config_node_gyp, ...candidates].find(file => file !== undefined && existsSync(file))
}

interface Need {
  readonly what: string
  readonly header?: string
  readonly program?: string
  readonly apt: string
  readonly dnf: string
  readonly apk: string
  readonly brew?: string
}

/** Each would be missed silently or late: without libzstd, say, records compressed with it cannot be read. */
const needs: readonly Need[] = [
  { what: 'a C++ compiler', program: 'c++', apt: 'g++', dnf: 'gcc-c++', apk: 'g++' },
  { what: 'make', program: 'make', apt: 'make', dnf: 'make', apk: 'make' },
  { what: 'bash', program: 'bash', apt: 'bash', dnf: 'bash', apk: 'bash' },
  { what: 'Python 3', program: 'python3', apt: 'python3', dnf: 'python3', apk: 'python3', brew: 'python' },
  {
    what: 'OpenSSL',
    header: 'openssl/ssl.h',
    apt: 'libssl-dev',
    dnf: 'openssl-devel',
    apk: 'openssl-dev',
    brew: 'openssl',
  },
  { what: 'zlib', header: 'zlib.h', apt: 'zlib1g-dev', dnf: 'zlib-devel', apk: 'zlib-dev', brew: 'zlib' },
  { what: 'zstd', header: 'zstd.h', apt: 'libzstd-dev', dnf: 'libzstd-devel', apk: 'zstd-dev', brew: 'zstd' },
  { what: 'lz4', header: 'lz4.h', apt: 'liblz4-dev', dnf: 'lz4-devel', apk: 'lz4-dev', brew: 'lz4' },
  { what: 'SASL', header: 'sasl/sasl.h', apt: 'libsasl2-dev', dnf: 'cyrus-sasl-devel', apk: 'cyrus-sasl-dev' },
]

/**
 * Finds what a compile needs and this machine lacks.
 * @returns undefined when nothing is missing; else the things, and the command that installs their packages.
 */
export function missingPackages(
  has: (need: Need) => boolean = isThere,
): { what: string[]; command: string } | undefined {
  const missing = needs.filter(need => !has(need))
  if (missing.length === 0) return undefined
  return { what: missing.map(need => need.what), command: installCommand(missing) }
}

function installCommand(missing: readonly Need[]): string {
  if (process.platform === 'darwin') {
    const formulas = missing.flatMap(need => need.brew ?? [])
    return ['xcode-select --install', ...(formulas.length > 0 ? [`brew install ${formulas.join(' ')}`] : [])].join('; ')
  }
  if (isOnPath('dnf')) return `dnf install -y ${missing.map(need => need.dnf).join(' ')}`
  if (isOnPath('apk')) return `apk add ${missing.map(need => need.apk).join(' ')}`
  return `apt-get install -y ${missing.map(need => need.apt).join(' ')}`
}

function isThere({ header, program }: Need): boolean {
  if (program) return isOnPath(program)
  if (!isOnPath('c++')) return ['/usr/include', '/usr/local/include'].some(dir => existsSync(join(dir, header ?? '')))
  // Otherwise asks the compiler, which knows the search path.
  const input = `#include <${header}>\n`
  return spawnSync('c++', ['-E', '-x', 'c++', '-'], { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some(dir => existsSync(join(dir || '.', program)))
}
