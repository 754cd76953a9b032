import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SetupError } from '#tools/demo/servers/machine.ts'
import { keptFolder, openLog, temporaryFolder, writePrivate } from '#tools/demo/servers/private-files.ts'

const modeOf = (path: string) => statSync(path).mode & 0o777

function aFolder(): string {
  const dir = temporaryFolder('test')
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

it('a temporary folder is ours alone, and its name is not known before', () => {
  const [one, other] = [aFolder(), aFolder()]
  expect(one).not.toBe(other)
  expect(modeOf(one)).toBe(0o700)
})

describe('a log', () => {
  it('is appended to, and readable by us alone, also where an earlier version left it readable', () => {
    const path = join(aFolder(), 'service.log')
    writeFileSync(path, 'earlier\n', { mode: 0o644 })
    const fd = openLog(path)
    writeSync(fd, 'now\n')
    closeSync(fd)
    expect(readFileSync(path, 'utf8')).toBe('earlier\nnow\n')
    expect(modeOf(path)).toBe(0o600)
  })

  it.each<[string, (path: string, victim: string) => void]>([
    ['a link', (path, victim) => symlinkSync(victim, path)],
    ['a link to what is not there', path => symlinkSync(`${path}-nowhere`, path)],
    ['a second name of a file', (path, victim) => linkSync(victim, path)],
    ['a pipe', path => execFileSync('mkfifo', [path])],
  ])('is not written where somebody has planted %s', (_, plant) => {
    const dir = aFolder()
    const victim = join(dir, 'victim')
    writeFileSync(victim, 'as it was')
    const path = join(dir, 'service.log')
    plant(path, victim)
    expect(() => openLog(path)).toThrow(SetupError)
    expect(() => openLog(path)).toThrow(`${path} is a link, or no plain file`)
    expect(readFileSync(victim, 'utf8')).toBe('as it was')
  })
})

it('a private file takes the place of a planted link, and what that leads to stays as it was', () => {
  const dir = aFolder()
  const victim = join(dir, 'victim')
  writeFileSync(victim, 'as it was')
  const path = join(dir, 'admin-key')
  symlinkSync(victim, path)
  writePrivate(path, 'a key')
  expect(readFileSync(path, 'utf8')).toBe('a key')
  expect(modeOf(path)).toBe(0o600)
  expect(readFileSync(victim, 'utf8')).toBe('as it was')
})

describe('a folder that keeps data', () => {
  it('is made for us alone, and taken as it is where it is ours', () => {
    const dir = aFolder()
    keptFolder(join(dir, 'new', 'data'))
    expect(modeOf(join(dir, 'new', 'data'))).toBe(0o700)
    chmodSync(dir, 0o755)
    keptFolder(dir)
    expect(modeOf(dir)).toBe(0o755)
  })

  it('is refused where everybody may write', () => {
    const dir = join(aFolder(), 'shared')
    mkdirSync(dir)
    chmodSync(dir, 0o1777)
    expect(() => keptFolder(dir)).toThrow(`Everybody may write to ${dir}`)
  })

  it.runIf(process.getuid?.() === 0)(
    'is refused where it belongs to another user, unless that one runs the server',
    () => {
      const dir = join(aFolder(), 'theirs')
      mkdirSync(dir)
      chownSync(dir, 12_345, 12_345)
      expect(() => keptFolder(dir)).toThrow('belongs to another user (uid 12345)')
      expect(() => keptFolder(dir, [12_345])).not.toThrow()
    },
  )
})
