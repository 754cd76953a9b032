import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { lockFolder } from '#tools/demo/servers/folder-lock.ts'
import { processNamespace, SetupError } from '#tools/demo/servers/machine.ts'

function aFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-lock-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

it('gives a folder to one process at a time, and says which has it', () => {
  const dir = aFolder()
  const lock = lockFolder(dir)
  expect(() => lockFolder(dir)).toThrow(SetupError)
  expect(() => lockFolder(dir)).toThrow(`${dir} is in use by process ${process.pid}`)
  lock[Symbol.dispose]()
  lockFolder(dir)[Symbol.dispose]()
})

it('takes it over from a process that was killed, also when its pid is somebody else’s now', () => {
  const { pid } = spawnSync('true')
  for (const gone of [pid, process.pid]) {
    const dir = aFolder()
    writeFileSync(
      join(dir, 'in-use.json'),
      JSON.stringify({ namespace: processNamespace(), pid: gone, identity: 'of another start' }),
    )
    lockFolder(dir)[Symbol.dispose]()
  }
})

it('takes it over where the note was cut off', () => {
  const dir = aFolder()
  writeFileSync(join(dir, 'in-use.json'), '{"pid":')
  lockFolder(dir)[Symbol.dispose]()
})
