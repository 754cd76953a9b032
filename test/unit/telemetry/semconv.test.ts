import * as conventions from '@opentelemetry/semantic-conventions/incubating'
import { expect, it } from 'vitest'
import { ATTRIBUTE, KAFKA, SCHEMA_URL } from '#src/telemetry/semconv.ts'
import manifest from '../../../package.json' with { type: 'json' }

const known = new Map(Object.entries(conventions).map(([name, value]) => [value as unknown, name]))

it('uses names of the conventions, of the version that its schema URL names', () => {
  expect(SCHEMA_URL).toBe(
    `https://opentelemetry.io/schemas/${manifest.devDependencies['@opentelemetry/semantic-conventions']}`,
  )
  const unknown = Object.values(ATTRIBUTE).filter(name => known.get(name)?.startsWith('ATTR_') !== true)
  expect(unknown).toEqual([])
  expect(conventions.MESSAGING_SYSTEM_NAME_VALUE_KAFKA).toBe(KAFKA)
})
