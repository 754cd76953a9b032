import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { pack, ROOT, run } from '../support/package.ts'

let home: string
let project: string

const npm = (...args: string[]) => run('npm', args, { cwd: project, maxBuffer: 64 * 1024 * 1024 })

/** By npm itself, with all that it fetches and runs; package.test.ts says the rest of the package, with links. */
describe('the tarball, installed by npm into an empty folder,', () => {
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-installed-'))
    project = await mkdtemp(join(home, 'project-'))
    const { tarball } = await pack(home)
    expect(await readdir(project)).toEqual([])
    await npm('init', '--yes', '--init-type=module')
    // As docs/first-stream.md has it: Holdfast's own script gets the native client loaded.
    await npm('pkg', 'set', '--json', 'allowScripts.@confluentinc/kafka-javascript=false')
    await npm('install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', tarball)
  }, 300_000)
  afterAll(() => rm(home, { recursive: true, force: true }))

  it('has the command, of this version', async () => {
    const { stdout } = await run('npx', ['holdfast', '--version'], { cwd: project })
    expect(stdout.trim()).toBe(manifest.version)
  })

  it('has a native client that loads, with which settings are checked', async () => {
    const { stderr } = await run('npx', ['holdfast', 'serve', '--check-config'], { cwd: project })
    expect(stderr).toContain('settings are valid')
  })

  it('judges a record without servers', async () => {
    const code = `import { readFileSync } from 'node:fs'
import { orders } from 'holdfast/orders'
import { judge } from 'holdfast/testing'
console.log(judge(orders, readFileSync(process.argv[2])).ok)
`
    await writeFile(join(project, 'judge.js'), code)
    const { stdout } = await run(process.execPath, ['judge.js', join(ROOT, 'data/model.json')], { cwd: project })
    expect(stdout.trim()).toBe('true')
  })

  it('brings nothing of development', async () => {
    const installed = await readdir(join(project, 'node_modules'))
    for (const name of ['vitest', 'typescript', 'playwright-core', '@biomejs']) expect(installed).not.toContain(name)
  })
})
