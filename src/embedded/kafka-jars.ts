/** Java, and the jars of Apache Kafka in the user's cache. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cacheDir, otherWays, removeAbandoned, SetupError } from './machine.ts'

const run = promisify(execFile)

/** The same number stands in kafka-pom.xml. */
export const kafkaVersion = '4.3.1'
const dependencyPlugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
/** Kafka 4 brokers need it: KIP-750, KIP-1013. */
const oldestJava = 17

/**
 * Finds a Java that can run the broker: `$JAVA_HOME`, else the one on the PATH.
 * @throws SetupError that names the fix, when there is none or it is too old.
 */
export async function findJava(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const home = env.JAVA_HOME
  const java = home && existsSync(join(home, 'bin', 'java')) ? join(home, 'bin', 'java') : 'java'
  const fix =
    `The embedded Kafka needs Java ${oldestJava} or newer: on Debian and Ubuntu "apt-get install openjdk-17-jre-headless", ` +
    `on macOS "brew install openjdk", or point JAVA_HOME at one. ${otherWays}`
  let said: string
  try {
    said = (await run(java, ['-version'], { env })).stderr // where Java prints it
  } catch {
    throw new SetupError(`No Java was found. ${fix}`)
  }
  // 'openjdk version "17.0.15"', before Java 9 '"1.8.0_292"'
  const [, first, second] = /version "(\d+)(?:\.(\d+))?/.exec(said) ?? []
  const version = Number(first === '1' ? second : first)
  if (!(version >= oldestJava)) throw new SetupError(`${java} is Java ${version}, which is too old. ${fix}`)
  return java
}

/**
 * The folder with Kafka's jars; Maven fetches them once. The folder appears by a rename, so that it is either
 * not there or whole, also when this is interrupted or two do it at once.
 * @throws SetupError when they are not there and cannot be fetched.
 */
export async function fetchKafkaJars(log: (line: string) => void = () => {}): Promise<string> {
  const dir = join(cacheDir(), `kafka-${kafkaVersion}`)
  if (existsSync(dir)) return dir
  log(`fetching Apache Kafka ${kafkaVersion} with Maven: 45 MB, once`)
  removeAbandoned('kafka-*.tmp')
  const unfinished = join(cacheDir(), `kafka-${kafkaVersion}.${randomUUID()}.tmp`)
  mkdirSync(unfinished, { recursive: true })
  const started = performance.now()
  try {
    const pom = fileURLToPath(new URL('./kafka-pom.xml', import.meta.url))
    const args = ['--batch-mode', '--quiet', '--file', pom, dependencyPlugin]
    await run('mvn', [...args, '-DincludeScope=runtime', `-DoutputDirectory=${unfinished}`])
    if (!readdirSync(unfinished).includes(`kafka_2.13-${kafkaVersion}.jar`)) throw new Error('Maven copied no broker')
    renameSync(unfinished, dir)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (existsSync(dir)) return dir // somebody else was quicker
    throw cannotFetch(error)
  }
  log(`fetched Apache Kafka ${kafkaVersion} in ${((performance.now() - started) / 1000).toFixed(0)} s`)
  return dir
}

function cannotFetch(error: unknown): SetupError {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return new SetupError(
      'Maven is needed once, to fetch Apache Kafka: on Debian and Ubuntu "apt-get install maven", ' +
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
    `Maven could not fetch Apache Kafka ${kafkaVersion}; is there a network, or a mirror in ~/.m2/settings.xml? ${otherWays}\n${reason || said}`,
    { cause: error },
  )
}
