/** Java, and the jars of Apache Kafka in the user's cache. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { otherWays, SetupError } from './machine.ts'
import { fetchByMaven } from './maven.ts'

const run = promisify(execFile)

/** Must equal the version in kafka-pom.xml. */
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
 * The folder with Kafka's jars; Maven fetches them once.
 * @param version another one with HOLDFAST_TEST_KAFKA, as `make test-versions` sets it
 * @throws SetupError when they are not there and cannot be fetched.
 */
export async function fetchKafkaJars(
  log: (line: string) => void = () => {},
  version = process.env.HOLDFAST_TEST_KAFKA || kafkaVersion,
): Promise<string> {
  const pom = fileURLToPath(new URL('./kafka-pom.xml', import.meta.url))
  const goods = {
    folder: `kafka-${version}`,
    what: `Apache Kafka ${version}`,
    size: '45 MB',
    args: ['--file', pom, dependencyPlugin, '-DincludeScope=runtime', `-Dkafka.version=${version}`],
    proof: `kafka_2.13-${version}.jar`,
    otherWays,
  }
  return await fetchByMaven(goods, log)
}
