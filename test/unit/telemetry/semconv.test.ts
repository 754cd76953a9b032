import * as conventions from '@opentelemetry/semantic-conventions/incubating'
import { expect, it } from 'vitest'
import { ATTRIBUTE, KAFKA, OPERATION, OTHER_METHOD, SCHEMA_URL } from '#src/telemetry/semconv.ts'
import manifest from '../../../package.json' with { type: 'json' }

const known = new Map(Object.entries(conventions).map(([name, value]) => [value as unknown, name]))

it('uses names of the conventions, of the version that its schema URL names', () => {
  expect(SCHEMA_URL).toBe(
    `https://opentelemetry.io/schemas/${manifest.devDependencies['@opentelemetry/semantic-conventions']}`,
  )
  const unknown = Object.values(ATTRIBUTE).filter(name => known.get(name)?.startsWith('ATTR_') !== true)
  expect(unknown).toEqual([])
  expect(conventions.MESSAGING_SYSTEM_NAME_VALUE_KAFKA).toBe(KAFKA)
  expect(conventions.HTTP_REQUEST_METHOD_VALUE_OTHER).toBe(OTHER_METHOD)
  const types = Object.values(OPERATION).map(({ [ATTRIBUTE.operationType]: type }) => type)
  expect(types).toEqual([
    conventions.MESSAGING_OPERATION_TYPE_VALUE_SEND,
    conventions.MESSAGING_OPERATION_TYPE_VALUE_RECEIVE,
    conventions.MESSAGING_OPERATION_TYPE_VALUE_PROCESS,
    conventions.MESSAGING_OPERATION_TYPE_VALUE_SETTLE,
  ])
})
