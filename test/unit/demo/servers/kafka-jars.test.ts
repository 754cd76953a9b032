import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fetchKafkaJars, findJava, kafkaVersion } from '#tools/demo/servers/kafka-jars.ts'
import { SetupError } from '#tools/demo/servers/machine.ts'

let scratch: string
let cache: string

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  cache = join(scratch, 'cache', 'holdfast')
  vi.stubEnv('XDG_CACHE_HOME', join(scratch, 'cache'))
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(scratch, { recursive: true, force: true })
})

describe('Java', () => {
  it.each([
    ['17.0.15', true],
    ['25', true],
    ['11.0.2', false],
    ['1.8.0_292', false],
  ])('%s is new enough for the broker: %s', async (version, enough) => {
    const home = javaHome(version)
    const finding = findJava({ ...process.env, JAVA_HOME: home })
    if (enough) await expect(finding).resolves.toBe(join(home, 'bin', 'java'))
    else await expect(finding).rejects.toThrow(/is too old.*apt-get install openjdk/)
  })

  it('is named with the fix and the other way when there is none', async () => {
    const finding = findJava({ PATH: scratch })
    await expect(finding).rejects.toThrow(SetupError)
    await expect(finding).rejects.toThrow(/No Java was found.*apt-get install openjdk.*docker compose up/)
  })
})

describe("Kafka's jars", () => {
  it('need no Maven once they are there', async () => {
    mkdirSync(join(cache, `kafka-${kafkaVersion}`), { recursive: true })
    vi.stubEnv('PATH', scratch)
    await expect(fetchKafkaJars()).resolves.toBe(join(cache, `kafka-${kafkaVersion}`))
  })

  it('are those of another version where the tests of versions ask for it', async () => {
    maven(
      `for last; do :; done; touch "$(echo "$last" | cut -d= -f2)/kafka_2.13-3.9.1.jar"; echo "$@" > ${scratch}/said`,
    )
    await expect(fetchKafkaJars(() => {}, '3.9.1')).resolves.toBe(join(cache, 'kafka-3.9.1'))
    expect(readFileSync(join(scratch, 'said'), 'utf8')).toContain('-Dkafka.version=3.9.1')
  })

  it('name Maven and the other way when it is missing', async () => {
    vi.stubEnv('PATH', scratch)
    const fetching = fetchKafkaJars()
    await expect(fetching).rejects.toThrow(SetupError)
    await expect(fetching).rejects.toThrow(/apt-get install maven.*docker compose up/)
  })

  it('appear whole, or not at all', async () => {
    maven('echo "[ERROR] repository not reachable"; exit 1')
    await expect(fetchKafkaJars()).rejects.toThrow(/could not fetch[\s\S]*repository not reachable/)
    maven('for last; do :; done; touch "$(echo "$last" | cut -d= -f2)/stray.jar"')
    await expect(fetchKafkaJars()).rejects.toThrow('could not fetch')
    expect(readdirSync(cache)).toEqual([])

    maven(`for last; do :; done; touch "$(echo "$last" | cut -d= -f2)/kafka_2.13-${kafkaVersion}.jar"`)
    await fetchKafkaJars()
    expect(readdirSync(cache)).toEqual([`kafka-${kafkaVersion}`])
  })

  it('take away what an interrupted fetch left an hour ago, and nothing younger', async () => {
    for (const name of ['kafka-1.old.tmp', 'kafka-1.new.tmp']) mkdirSync(join(cache, name), { recursive: true })
    const hoursAgo = new Date(Date.now() - 2 * 3_600_000)
    utimesSync(join(cache, 'kafka-1.old.tmp'), hoursAgo, hoursAgo)
    maven('exit 1')
    await expect(fetchKafkaJars()).rejects.toThrow('could not fetch')
    expect(readdirSync(cache)).toEqual(['kafka-1.new.tmp'])
  })

  it('are of the version that the list for Maven names', () => {
    const pom = readFileSync(new URL('../../../../tools/demo/servers/kafka-pom.xml', import.meta.url), 'utf8')
    expect(pom).toContain(`<kafka.version>${kafkaVersion}</kafka.version>`)
    expect(pom.match(/<version>\$\{kafka\.version\}<\/version>/g)).toHaveLength(2)
  })
})

function javaHome(version: string): string {
  const home = join(scratch, 'java')
  mkdirSync(join(home, 'bin'), { recursive: true })
  script(join(home, 'bin', 'java'), `echo 'openjdk version "${version}" 2025-04-15' >&2`)
  return home
}

/** A stand-in for Maven, first on the PATH. */
function maven(body: string): void {
  script(join(scratch, 'mvn'), body)
  vi.stubEnv('PATH', scratch + delimiter + (process.env.PATH ?? ''))
}

function script(path: string, body: string): void {
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, 0o755)
}
