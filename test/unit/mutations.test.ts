import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { MUTATIONS } from '../mutation/mutations.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** `make mutation` takes long and is run seldom: code that has changed since would leave faults unplanted, or their tests unnamed. */
it('each fault of make mutation can be planted, at one place, and names tests that there are', () => {
  const sources = new Map<string, string>()
  const sourceOf = (file: string) => {
    const source = sources.get(file) ?? readFileSync(`${ROOT}${file}`, 'utf8')
    sources.set(file, source)
    return source
  }
  const unplanted = MUTATIONS.filter(({ file, find }) => sourceOf(file).split(find).length !== 2)
  const unnamed = MUTATIONS.flatMap(({ tests }) => tests.filter(test => !existsSync(`${ROOT}${test}`)))

  expect(unplanted.map(({ file, what }) => `${file}: ${what}`)).toEqual([])
  expect(unnamed).toEqual([])
})
