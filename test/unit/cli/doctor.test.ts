import { execFile } from 'node:child_process'
import { expect, it } from 'vitest'
import type { Finding } from '#src/cli/doctor-checks.ts'

/** A build of the Kafka client that this machine cannot load. */
const BROKEN = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier.includes('kafka-javascript')) throw new Error('the native client is broken')
      return next(specifier, context)
    },
  })`)}`

it('reports a native client that cannot be loaded, and continues with what does not need it', async () => {
  const stdout = await new Promise<string>(resolve => {
    const env = { PATH: process.env.PATH, DATABASE_URL: 'postgres://127.0.0.1:1/none', HTTP_PORT: '0' }
    execFile(process.execPath, ['--import', BROKEN, 'src/cli/main.ts', 'doctor', '--json'], { env }, (_, out) =>
      resolve(out),
    )
  })
  const findings: Finding[] = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(findings.map(({ name, ok }) => `${name}: ${ok}`)).toEqual([
    ...['node: true', 'native client: false', 'settings: true', 'port: true'],
    ...['kafka: false', 'postgres: false'],
  ])
  expect(findings[1]?.detail).toContain('the native client is broken')
})
