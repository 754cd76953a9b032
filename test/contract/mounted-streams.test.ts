import { execFile } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { freshDatabase } from '../support/stack.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const EXAMPLE = join(ROOT, 'deploy/kustomize/overlays/example')

/** As a kubelet does it: each file is a link through a link to a folder, which is exchanged as a whole. */
function mount(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(folder, '..2026_11_29'), { recursive: true })
  symlinkSync('..2026_11_29', join(folder, '..data'))
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, '..2026_11_29', name), text)
    symlinkSync(join('..data', name), join(folder, name))
  }
}

function filesOf(pattern: string): Record<string, string> {
  const files = globSync(pattern, { cwd: EXAMPLE })
  return Object.fromEntries(files.map(file => [basename(file), readFileSync(join(EXAMPLE, file), 'utf8')]))
}

it('streams, migrations and secrets of the example work as Kubernetes mounts them', async () => {
  const databaseUrl = await freshDatabase()
  // Below the checkout, as /app/streams is below /app: there "holdfast" is the name of the service itself.
  mkdirSync(join(ROOT, '.data'), { recursive: true })
  const app = mkdtempSync(join(ROOT, '.data', 'mounts-'))
  onTestFinished(() => rmSync(app, { recursive: true }))
  const project = join(app, 'project')
  mount(join(app, 'streams'), filesOf('*.ts'))
  mount(join(project, 'migrations'), filesOf('migrations/*.sql'))
  mount(join(app, 'secrets'), { DATABASE_URL: `${databaseUrl}\n` })
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    HOLDFAST_CONFIG: join(app, 'streams', 'holdfast.config.ts'),
    DATABASE_URL_FILE: join(app, 'secrets', 'DATABASE_URL'),
  }
  const holdfast = (...args: string[]) => promisify(execFile)(join(ROOT, 'bin/holdfast'), args, { cwd: project, env })

  const { stdout: streams } = await holdfast('stream', 'ls', '--json')
  await holdfast('migrate', 'up')
  const { stdout: migrations } = await holdfast('migrate', 'status', '--json')
  const { stdout: checked } = await holdfast('stream', 'check', 'returns')

  expect(
    streams
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).name),
  ).toEqual(['orders', 'returns'])
  expect(migrations).toContain('migrations/0001_returns')
  expect(checked).toContain('returns tables: returns are as the definition needs them')
})
