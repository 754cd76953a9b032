import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import manifest from '../../../package.json' with { type: 'json' }
import { type Download, downloadPrebuilt, KNOWN_HASHES, prebuiltName } from '../../../scripts/native-prebuilt.ts'

const machine = { platform: 'linux', arch: 'x64', libc: 'glibc', abi: '137' } as const
const name = 'confluent-kafka-javascript-v1.2.3-node-v137-linux-glibc-x64.tar.gz'
let folder: string
let archive: Buffer
let host: string
let asked: string[]
const server = createServer((req, res) => {
  asked.push(req.url ?? '')
  if (req.url === `/v1.2.3/${name}`) res.end(archive)
  else res.writeHead(404).end()
})

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-prebuilt-'))
  // As node-pre-gyp packs it: one folder at the top.
  mkdirSync(join(folder, 'Release'))
  writeFileSync(join(folder, 'Release', 'client.node'), 'native')
  archive = spawnSync('tar', ['-czf', '-', '-C', folder, 'Release']).stdout
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await new Promise(resolve => server.close(resolve))
})
beforeEach(() => {
  asked = []
})

function attempt(changed: Partial<Download>) {
  const into = join(folder, 'into')
  rmSync(into, { recursive: true, force: true })
  const hashes = { [name]: createHash('sha256').update(archive).digest('hex') }
  const options = { version: '1.2.3', machine, into, host, hashes, unverified: false, timeoutMs: 10_000, ...changed }
  return downloadPrebuilt(options).then(verdict => ({ verdict, file: join(into, 'client.node') }))
}

describe('a ready-made client', () => {
  it('has the name that its makers give it', () => {
    expect(prebuiltName('1.2.3', machine)).toBe(name)
    expect(prebuiltName('1.2.3', { ...machine, platform: 'darwin', libc: 'unknown', arch: 'arm64' })).toBe(
      'confluent-kafka-javascript-v1.2.3-node-v137-darwin-unknown-arm64.tar.gz',
    )
  })

  it('is taken when its hash is the one that is known', async () => {
    const { verdict, file } = await attempt({})
    expect(verdict).toEqual({ taken: true })
    expect(readFileSync(file, 'utf8')).toBe('native')
  })

  it('is refused when its hash is another one, and nothing of it is unpacked', async () => {
    const { verdict, file } = await attempt({ hashes: { [name]: '0'.repeat(64) }, unverified: true })
    expect(verdict).toMatchObject({ taken: false, why: expect.stringContaining('was refused: its SHA-256 is') })
    expect(existsSync(file)).toBe(false)
  })

  it('is not even asked for while its hash is unknown', async () => {
    const { verdict, file } = await attempt({ hashes: {} })
    expect(verdict).toMatchObject({ taken: false, why: expect.stringContaining('HOLDFAST_UNVERIFIED_CLIENT=1') })
    expect(asked).toEqual([])
    expect(existsSync(file)).toBe(false)
  })

  it('is taken without a hash by those who ask for it', async () => {
    const { verdict } = await attempt({ hashes: {}, unverified: true })
    expect(verdict).toEqual({ taken: true })
  })

  it('that is not to be had ends no install', async () => {
    const { verdict } = await attempt({ version: '9.9.9', unverified: true })
    expect(verdict).toMatchObject({ taken: false, why: expect.stringContaining('answered 404') })
    const { verdict: nobody } = await attempt({ host: 'http://127.0.0.1:1', unverified: true })
    expect(nobody).toMatchObject({ taken: false, why: expect.stringContaining('was not to be had') })
  })
})

it('knows hashes of the version that is installed, and no others', () => {
  const version = manifest.dependencies['@confluentinc/kafka-javascript']
  for (const [archiveName, hash] of Object.entries(KNOWN_HASHES)) {
    expect(archiveName).toContain(`-v${version}-`)
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
  }
})
