import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import manifest from '../../../package.json' with { type: 'json' }
import lockfile from '../../../package-lock.json' with { type: 'json' }
import type { Locked } from '../../../scripts/check-lockfile.ts'
import { writeSboms } from '../../../scripts/sbom.ts'

it('names the package, each thing that users get with its version, hash and licence, and nothing of development', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const [cyclonedx, spdx] = writeSboms(folder).map(file => JSON.parse(readFileSync(file, 'utf8'))) as [CycloneDx, Spdx]

  expect(cyclonedx.metadata.component).toMatchObject({ name: 'holdfast', version: manifest.version })
  // Two places of the same version are one thing.
  const locked = Object.entries(lockfile.packages as Record<string, Locked & { name?: string }>)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .map(([path, { name, version }]) => `${name ?? path.replace(/^.*node_modules\//, '')}@${version}`)
  const listed = cyclonedx.components.map(({ purl }) => decodeURIComponent(purl.replace('pkg:npm/', '')))
  expect([...new Set(listed)].sort()).toEqual([...new Set(locked)].sort())
  for (const { name, hashes, licenses } of cyclonedx.components) {
    expect(hashes?.length, name).toBeGreaterThan(0)
    expect(licenses?.length, name).toBeGreaterThan(0)
  }
  expect(spdx.name).toBe(`holdfast@${manifest.version}`)
  expect(spdx.packages.length).toBe(cyclonedx.components.length + 1)
})

interface CycloneDx {
  readonly metadata: { readonly component: { readonly name: string; readonly version: string } }
  readonly components: readonly {
    readonly name: string
    readonly purl: string
    readonly hashes?: readonly unknown[]
    readonly licenses?: readonly unknown[]
  }[]
}

interface Spdx {
  readonly name: string
  readonly packages: readonly unknown[]
}
