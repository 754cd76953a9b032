import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fetchPrometheus, findProgram, missingPrometheus } from '#tools/demo/servers/prometheus-binaries.ts'

let scratch: string
let env: NodeJS.ProcessEnv
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  mkdirSync(join(scratch, 'bin'))
  env = { HOME: scratch, PATH: join(scratch, 'bin') }
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

const cache = () => join(scratch, '.cache', 'holdfast')
const calls = () => readFileSync(join(scratch, 'calls'), 'utf8').trim().split('\n')

/** A program that writes down how it was called. */
function program(name: string, does = ''): string {
  const file = join(scratch, 'bin', name)
  writeFileSync(file, `#!/bin/sh\necho "${name} $*" >>'${join(scratch, 'calls')}'\n${does}\n`)
  chmodSync(file, 0o755)
  return file
}

/** Debian, with packages that hold programs which do nothing. */
function aDebian(): void {
  program('apt-cache', 'printf "prometheus\\n  Depends: adduser\\n  Depends: libjs-jquery\\n"')
  program('apt-get', 'case $1 in download) : >prometheus_2.42_amd64.deb; : >libjs-jquery_3_all.deb ;; esac')
  const unpacked = 'usr/bin/prometheus usr/bin/promtool'
  program('dpkg-deb', `/bin/mkdir -p usr/bin; for f in ${unpacked}; do echo '#!/bin/sh' >$f; /bin/chmod +x $f; done`)
}

it('takes what is on the PATH, and asks nobody', async () => {
  const prometheus = program('prometheus')
  program('promtool')
  expect(findProgram('prometheus', env)).toBe(prometheus)
  await fetchPrometheus(() => {}, true, env)
  expect(existsSync(join(scratch, 'calls'))).toBe(false)
})

it('names what is missing, and how to have it', async () => {
  program('prometheus')
  expect(missingPrometheus(env)).toMatch(
    /^promtool cannot be found; to have them: on Debian .*apt-get install prometheus/,
  )
  await expect(fetchPrometheus(() => {}, true, env)).rejects.toThrow(/The demo goes on without it/)
})

it('unpacks the packages of Debian in the cache, with what its pages need, and installs nothing', async () => {
  aDebian()
  const said: string[] = []
  await fetchPrometheus(line => said.push(line), true, env)
  expect(findProgram('promtool', env)).toBe(join(cache(), 'prometheus', 'usr', 'bin', 'promtool'))
  expect(missingPrometheus(env)).toBeUndefined()
  expect(readdirSync(cache())).toEqual(['prometheus'])
  expect(readdirSync(join(cache(), 'prometheus'))).toEqual(['usr'])
  expect(calls()[0]).toMatch(/^apt-get update /)
  expect(calls().find(call => call.startsWith('apt-get download'))).toMatch(/ prometheus libjs-jquery$/)
  expect(calls().filter(call => call.includes('install'))).toEqual([])
  expect(said).toHaveLength(1)
})

it('leaves the lists of packages alone for one who may not change them', async () => {
  aDebian()
  await fetchPrometheus(() => {}, false, env)
  expect(calls().filter(call => call.includes('update'))).toEqual([])
})

it('says what apt-get said when it fails, leaves nothing half made, and tries again only after an hour', async () => {
  aDebian()
  program('apt-get', 'echo "E: no network" >&2; exit 100')
  await expect(fetchPrometheus(() => {}, true, env)).rejects.toThrow(/could not fetch Prometheus.*E: no network/s)
  expect(readdirSync(cache())).toEqual(['prometheus.failed'])
  const before = calls().length
  await expect(fetchPrometheus(() => {}, true, env)).rejects.toThrow(/tries again/)
  expect(calls()).toHaveLength(before)

  const anHourAgo = new Date(Date.now() - 3_601_000)
  utimesSync(join(cache(), 'prometheus.failed'), anHourAgo, anHourAgo)
  aDebian()
  await fetchPrometheus(() => {}, true, env)
  expect(readdirSync(cache())).toEqual(['prometheus'])
})
