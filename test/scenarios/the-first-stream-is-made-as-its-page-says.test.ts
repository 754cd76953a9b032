import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startHoldfast } from '../support/cli.ts'
import { document } from '../support/documents.ts'
import { installPacked, pack, ROOT } from '../support/package.ts'
import { COMPILED, eventually } from '../support/service.ts'
import { createReader, stepsOf } from '../support/walkthrough.ts'

/**
 * npm itself would fetch a hundred megabytes: installs are links to the packages of this checkout. What this leaves out: npm's
 * resolution of versions, and the scripts that an install runs.
 */
const npm = (installed: string, paths: string) => `#!/bin/sh
case "$*" in
  'install ../holdfast-'*.tgz) exec cp -a '${installed}/node_modules' . ;;
  'install --save-dev typescript @types/node')
    ln -s '${ROOT}node_modules/typescript' node_modules/typescript
    ln -s ../typescript/bin/tsc node_modules/.bin/tsc ;;
  install*) echo "this npm does not know: $*" >&2; exit 1 ;;
  *) PATH='${paths}' exec npm "$@" ;;
esac
`

it('docs/first-stream.md is followed word for word, on the servers of the demo, to a proof', async () => {
  // Given a folder beside the tarball, and the demo in another shell, as the page says
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-first-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const installed = join(folder, 'installed')
  await installPacked((await pack(folder)).tarball, installed)
  const names = { topic: '', dlqTopic: '', groupId: '', brokers: '', databaseUrl: '' }
  const demo = startHoldfast(names, 'demo', '--no-produce', '--no-traces')
  const exported = await eventually(() => /^export .*$/m.exec(demo.said().stderr)?.[0], 'its line for another shell')

  // When a reader does what stands there
  const tools = join(folder, 'tools')
  const paths = `${dirname(process.execPath)}:${join(ROOT, '.tools/node_modules/.bin')}:${process.env.PATH}`
  await mkdir(tools)
  await writeFile(join(tools, 'npm'), npm(installed, paths))
  await chmod(join(tools, 'npm'), 0o755)
  const port = await freePort()
  const reader = createReader({
    folder,
    env: { PATH: `${tools}:${paths}`, HOME: folder, NO_COLOR: '1', HTTP_PORT: String(port), ...COMPILED },
    instead: script => script.replaceAll('8081', String(port)),
  })
  onTestFinished(() => reader.interrupt())
  await reader.follow({ kind: 'command', script: exported, shown: undefined, runsOn: false })
  const steps = stepsOf(document('docs/first-stream.md'))
  expect(steps.length).toBeGreaterThan(20)
  for (const step of steps) await reader.follow(step)

  // Then each command has done, and shown, what the page says; and both shells end with Ctrl-C
  await reader.interrupt()
  demo.kill('SIGINT')
  expect(await demo.exited).toBe(0)
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(done => server.once('listening', done))
  const { port } = server.address() as AddressInfo
  await new Promise(done => server.close(done))
  return port
}
