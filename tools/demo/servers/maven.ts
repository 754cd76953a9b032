/** Artifacts that Maven fetches once, into the user's cache. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir, removeAbandoned, SetupError } from './machine.ts'

const run = promisify(execFile)

export interface MavenGoods {
  /** Its folder in the cache: a name, a dash and the version. */
  readonly folder: string
  /** For people: `Apache Kafka 4.3.1`. */
  readonly what: string
  /** For people: `45 MB`. */
  readonly size: string
  /** Arguments for Maven, the goal among them; the folder to fill is added. */
  readonly args: readonly string[]
  /** A file that must be there then. */
  readonly proof: string
  /** How to do without: a sentence. */
  readonly otherWays: string
}

/**
 * The folder with the fetched files. It appears by a rename, so that it is either not there or whole, also when this is
 * interrupted or two processes fetch at once.
 * @param signal ends the fetch
 * @throws the signal's reason; SetupError when they are not there and cannot be fetched.
 */
export async function fetchByMaven(
  goods: MavenGoods,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const { folder, what } = goods
  const dir = join(cacheDir(), folder)
  if (existsSync(dir)) return dir
  log(`fetching ${what} with Maven: ${goods.size}, once`)
  removeAbandoned(`${folder.slice(0, folder.lastIndexOf('-'))}-*.tmp`)
  const unfinished = join(cacheDir(), `${folder}.${randomUUID()}.tmp`)
  mkdirSync(unfinished, { recursive: true })
  const started = performance.now()
  try {
    const args = ['--batch-mode', '--quiet', ...goods.args, `-DoutputDirectory=${unfinished}`]
    await run('mvn', args, signal === undefined ? {} : { signal })
    if (!readdirSync(unfinished).includes(goods.proof)) throw new Error(`Maven copied no ${goods.proof}`)
    renameSync(unfinished, dir)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    signal?.throwIfAborted()
    if (existsSync(dir)) return dir // another process finished first
    throw cannotFetch(error, goods)
  }
  log(`fetched ${what} in ${((performance.now() - started) / 1000).toFixed(0)} s`)
  return dir
}

function cannotFetch(error: unknown, { what, otherWays }: MavenGoods): SetupError {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return new SetupError(
      `Maven is needed once, to fetch ${what}: on Debian and Ubuntu "apt-get install maven", ` +
        `on macOS "brew install maven". ${otherWays}`,
    )
  }
  const said = error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
  const reason = said
    .split('\n')
    .filter(line => line.includes('ERROR'))
    .slice(0, 3)
    .join('\n')
  return new SetupError(
    `Maven could not fetch ${what}; is there a network, or a mirror in ~/.m2/settings.xml? ${otherWays}\n${reason || said}`,
    { cause: error },
  )
}
