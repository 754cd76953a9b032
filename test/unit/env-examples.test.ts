import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '#src/settings/config.ts'
import { SETTINGS } from '#src/settings/settings.ts'

describe.each(['.env.example', '.env.container.example'])('%s', file => {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

  it('is accepted as it stands', () => {
    expect(() => loadConfig(parseEnv(text))).not.toThrow()
  })

  it('names only settings that exist, also in what is commented out', () => {
    const names = [...text.matchAll(/^(?:# )?([A-Z][A-Z_]+)=/gm)].map(([, name]) => name)
    expect(names.length).toBeGreaterThan(3)
    const known = Object.entries(SETTINGS).flatMap(([name, { inFile }]) => (inFile ? [name, `${name}_FILE`] : [name]))
    expect(known).toEqual(expect.arrayContaining(names))
  })
})
