/**
 * Gets the native Kafka client loaded. It runs as npm's postinstall of this package, so it imports nothing but Node, and
 * stops at the first step that succeeds:
 *
 * 1. It loads already.
 * 2. The user's cache has it from an earlier install.
 * 3. Its makers have built it for this platform: downloaded, if GitHub can be reached and the hash is the one that is known
 *    (native-prebuilt.ts).
 * 4. It is compiled, which takes minutes once; the result goes into the cache.
 *
 * Otherwise one paragraph names what is missing. With HOLDFAST_INSTALL_PACKAGES=1 (as "make setup" sets it), root on Debian has
 * the missing system packages installed before step 4; no other system is changed.
 */
import { type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { abiKey, cacheDir, headersOf, libcOf, missingPackages, nodeGyp } from './native-machine.ts'
import { downloadPrebuilt } from './native-prebuilt.ts'

const client = dirname(createRequire(import.meta.url).resolve('@confluentinc/kafka-javascript/package.json'))
const { version } = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8')) as { version: string }
const cached = join(cacheDir(), `ckjs-${version}-${abiKey()}`)
const log = join(cacheDir(), 'native-client.log')

/** All that counts of a build: the addon finds the libraries beside it by its run path, so a plain copy works. */
const parts = [
  join('build', 'Release', 'confluent-kafka-javascript.node'),
  join('build', 'deps', 'librdkafka.so.1'),
  join('build', 'deps', 'librdkafka++.so.1'),
]
const downloadTimeoutMs = 60_000
const sayEveryMs = 10_000
/** The command that comes here again, of a checkout or of a package that was installed. */
const again = import.meta.url.endsWith('.ts') ? 'make setup' : 'npm rebuild holdfast'

process.exitCode = await climb()

async function climb(): Promise<number> {
  mkdirSync(cacheDir(), { recursive: true })
  if (loads(client)) {
    if (!existsSync(cached)) save(client)
    return 0
  }
  if (existsSync(cached)) {
    copyParts(cached, client)
    if (loads(client)) return done('taken from the cache')
  }
  say(`looking for a ready-made build (${version}, ${abiKey()})`)
  if (await download()) {
    save(client)
    return done('downloaded')
  }
  if (!installMissing()) return 1
  say('none to be had from here; compiling it')
  const failure = await compile()
  if (failure) return fail(failure)
  return done('compiled and kept in the cache')
}

/** Loads it in a separate process, because an incompatible library may crash the process. */
function loads(dir: string): boolean {
  return spawnSync(process.execPath, ['-e', `require(${JSON.stringify(dir)})`], { stdio: 'ignore' }).status === 0
}

function copyParts(from: string, to: string): void {
  rmSync(join(to, 'build'), { recursive: true, force: true })
  for (const part of parts.filter(part => existsSync(join(from, part)))) {
    mkdirSync(dirname(join(to, part)), { recursive: true })
    cpSync(join(from, part), join(to, part), { dereference: true })
  }
}

/** Puts a build that loads into the cache, stripped (16 MB become 4), by a rename: it is there whole or not at all. */
function save(from: string): void {
  const unfinished = `${cached}.${randomUUID()}.tmp`
  copyParts(from, unfinished)
  for (const part of parts) spawnSync('strip', ['--strip-unneeded', join(unfinished, part)], { stdio: 'ignore' })
  rmSync(cached, { recursive: true, force: true })
  try {
    renameSync(unfinished, cached)
  } catch {
    rmSync(unfinished, { recursive: true, force: true }) // another install finished first
  }
}

/** A build that does not load is removed again: what is compiled begins without it. */
async function download(): Promise<boolean> {
  const verdict = await downloadPrebuilt({
    version,
    machine: { platform: process.platform, arch: process.arch, libc: libcOf(), abi: process.versions.modules },
    into: join(client, 'build', 'Release'),
    unverified: process.env.HOLDFAST_UNVERIFIED_CLIENT === '1',
    timeoutMs: downloadTimeoutMs,
  })
  if (!verdict.taken) say(verdict.why)
  else if (loads(client)) return true
  rmSync(join(client, 'build'), { recursive: true, force: true })
  return false
}

/** @returns false when something is missing and was not installed; this has then been reported. */
function installMissing(): boolean {
  const missing = missingPackages()
  if (!missing) return true
  const allowed = process.env.HOLDFAST_INSTALL_PACKAGES === '1' && process.getuid?.() === 0
  if (allowed && missing.command.startsWith('apt-get')) {
    say(`installing what the compiler needs: ${missing.command}`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('sh', ['-c', `apt-get update -qq; ${missing.command} -qq`], { stdio: ['ignore', 2, 2], env })
    if (!missingPackages()) return true
  }
  const sudo = process.getuid?.() === 0 ? '' : 'sudo '
  fail(
    `there is no ready-made build for this machine (${abiKey()}) within reach, and to compile one it lacks ` +
      `${missing.what.join(', ')}. Install them and run "${again}" again:\n\n    ${sudo}${missing.command}\n\n` +
      `Or take the build of its makers as it is, unverified: HOLDFAST_UNVERIFIED_CLIENT=1 ${again}\n`,
  )
  return false
}

/**
 * Compiles in a copy beside the package, so that a build which is interrupted leaves the package as it was.
 * @returns what went wrong, if something did.
 */
async function compile(): Promise<string | undefined> {
  const scratch = `${client}.build`
  rmSync(scratch, { recursive: true, force: true })
  cpSync(client, scratch, { recursive: true, filter: path => path !== join(client, 'build') })
  try {
    const headers = headersOf(process.execPath)
    const env: NodeJS.ProcessEnv = { ...process.env, CKJS_LINKING: 'dynamic' } // against the system's libraries: nothing to fetch
    // Its own make runs as parallel as it likes; handed-down job counts break it right after configure.
    for (const name of ['JOBS', 'MAKEFLAGS', 'MFLAGS', 'MAKELEVEL']) delete env[name]
    // A nodedir in the user's npmrc would compile against the headers of another Node.
    delete env.npm_config_nodedir
    if (headers) env.npm_config_nodedir = headers
    const gyp = nodeGyp(process.env)
    if (!gyp) return `node-gyp was not found, which npm brings: run "${again}".`
    const args = [gyp, 'rebuild', ...(headers ? [`--nodedir=${headers}`] : [])]
    const started = performance.now()
    const ticking = setInterval(() => {
      const seconds = Math.round((performance.now() - started) / 1000)
      say(`compiling, ${seconds} s so far; 2 to 3 minutes on ${availableParallelism()} cores`)
    }, sayEveryMs)
    const status = await run(args, { cwd: scratch, env }).finally(() => clearInterval(ticking))
    if (status !== 0) return `compiling failed (${status}); the end of ${log}:\n\n${tail()}`
    if (!loads(scratch)) return `what was compiled does not load; see ${log}.`
    save(scratch)
    copyParts(cached, client)
    return loads(client) ? undefined : 'what was compiled does not load from its place.'
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Runs Node with its output in the log. @returns the exit code, or the signal's name. */
function run(args: readonly string[], options: SpawnOptions): Promise<number | string> {
  const output = openSync(log, 'w')
  const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', output, output] })
  closeSync(output)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(signal ?? code ?? 1))
  })
}

function tail(): string {
  return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-25).join('\n')
}

function say(line: string): void {
  console.error(`native client: ${line}`)
}

function done(how: string): 0 {
  say(`${how}, and it loads`)
  return 0
}

function fail(why: string): 1 {
  say(why)
  return 1
}
