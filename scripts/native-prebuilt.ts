/**
 * The native Kafka client as its makers have built it: downloaded from their releases, and taken only if its SHA-256 is the one noted here.
 * npm's lockfile does not cover it, because it is no npm package. Imports nothing but Node: see native.ts.
 *
 * After an update of the client, `node scripts/native-prebuilt.ts 1.10.1` downloads each archive of that version and prints the table
 * below; compare it with the digests that the release page shows (docs/releasing.md).
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'

const HOST = 'https://github.com/confluentinc/confluent-kafka-javascript/releases/download'
const NAME = 'confluent-kafka-javascript'

/**
 * SHA-256 of each archive, in hexadecimal, by its name. An archive that is not listed is not downloaded, unless
 * HOLDFAST_UNVERIFIED_CLIENT=1 asks for it; the client is compiled instead, from sources that the lockfile does cover.
 */
export const KNOWN_HASHES: Readonly<Record<string, string>> = {}

/** What decides which archive fits. */
export interface Machine {
  readonly platform: string
  readonly arch: string
  /** Only Linux has several. */
  readonly libc: 'glibc' | 'musl' | 'unknown'
  /** Node's binary interface, `process.versions.modules`. */
  readonly abi: string
}

/** The name that node-pre-gyp makes of `binary` in the client's package.json. */
export function prebuiltName(version: string, { platform, arch, libc, abi }: Machine): string {
  return `${NAME}-v${version}-node-v${abi}-${platform}-${libc}-${arch}.tar.gz`
}

export type Verdict =
  | { readonly taken: true }
  /** `why`: a sentence for people. */
  | { readonly taken: false; readonly why: string }

export interface Download {
  readonly version: string
  readonly machine: Machine
  /** Where the archive is unpacked, without its top folder. It is made. */
  readonly into: string
  /** Default: the releases of the makers. */
  readonly host?: string
  readonly hashes?: Readonly<Record<string, string>>
  /** Whether an archive whose hash is not known may be taken. */
  readonly unverified: boolean
  readonly timeoutMs: number
}

/** Nothing is unpacked before its hash is known to be right. Never throws: what is not to be had is compiled. */
export async function downloadPrebuilt(options: Download): Promise<Verdict> {
  const { version, machine, into, host = HOST, hashes = KNOWN_HASHES, unverified, timeoutMs } = options
  const name = prebuiltName(version, machine)
  const expected = hashes[name]
  if (expected === undefined && !unverified) {
    return { taken: false, why: `no hash of ${name} is known; HOLDFAST_UNVERIFIED_CLIENT=1 takes it all the same` }
  }
  let archive: Buffer
  try {
    archive = await get(`${host}/v${version}/${name}`, timeoutMs)
  } catch (error) {
    const { message, cause } = error as Error
    return { taken: false, why: `${name} was not to be had: ${cause instanceof Error ? cause.message : message}` }
  }
  const found = sha256(archive)
  if (expected !== undefined && found !== expected) {
    return { taken: false, why: `${name} was refused: its SHA-256 is ${found}, and should be ${expected}` }
  }
  mkdirSync(into, { recursive: true })
  const tar = spawnSync('tar', ['-xzf', '-', '--strip-components=1', '-C', into], { input: archive })
  if (tar.status === 0) return { taken: true }
  return { taken: false, why: `${name} could not be unpacked: ${tar.error?.message ?? tar.stderr}` }
}

async function get(url: string, timeoutMs: number): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return Buffer.from(await response.arrayBuffer())
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Prints the table of a version, for those platforms that it was built for. */
async function printHashes(version: string): Promise<void> {
  const { modules: abi } = process.versions
  for (const [platform, libc] of [
    ['linux', 'glibc'],
    ['linux', 'musl'],
    ['darwin', 'unknown'],
  ] as const) {
    for (const arch of ['x64', 'arm64']) {
      const name = prebuiltName(version, { platform, arch, libc, abi })
      try {
        console.log(`  '${name}': '${sha256(await get(`${HOST}/v${version}/${name}`, 60_000))}',`)
      } catch (error) {
        console.error(`${name}: ${(error as Error).message}`)
      }
    }
  }
}

if (import.meta.main) await printHashes(process.argv[2] ?? '')
