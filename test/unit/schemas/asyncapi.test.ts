import { existsSync, readFileSync } from 'node:fs'
import specs from '@asyncapi/specs'
import { Ajv } from 'ajv'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import { describe, expect, it } from 'vitest'
import { REASONS } from '#src/engine/dead-letter.ts'
import { HEADER } from '#src/engine/headers.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import { SETTINGS } from '#src/settings/settings.ts'
import { aDeadLetter } from '../../support/orders.ts'

const SCHEMAS = new URL('../../../schemas/', import.meta.url)
const document = JSON.parse(readFileSync(new URL('asyncapi.json', SCHEMAS), 'utf8'))
const { order, deadLetter } = document.components.messages

describe('schemas/asyncapi.json', () => {
  it('is an AsyncAPI 3.1 document', () => {
    // The specification brings the dialect that it is written in along: ajv's own copy would be a second one.
    const ajv = new Ajv({ strict: false, meta: false, validateSchema: false, formats: fullFormats })
    const specification: object = specs.schemas['3.1.0']
    const validate = ajv.compile(specification)
    expect(validate(document), ajv.errorsText(validate.errors)).toBe(true)
    // And the check can fail.
    expect(validate({ ...document, operations: { x: { action: 'consume', channel: {} } } })).toBe(false)
  })

  it('refers only to what there is', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref = '']) => ref)
    expect(refs.length).toBeGreaterThan(6)
    for (const ref of refs) {
      if (!ref.startsWith('#/')) expect(existsSync(new URL(ref, SCHEMAS)), ref).toBe(true)
      else
        expect(
          ref
            .slice(2)
            .split('/')
            .reduce((part, name) => part?.[name], document),
          ref,
        ).toBeDefined()
    }
  })

  it('names topics and group as the settings do', () => {
    const { orders, deadLetters } = document.channels
    expect([orders.address, deadLetters.address]).toEqual([
      SETTINGS.KAFKA_TOPIC.default,
      SETTINGS.KAFKA_DLQ_TOPIC.default,
    ])
    expect(orders.bindings.kafka.partitions).toBe(Number(SETTINGS.KAFKA_TOPIC_PARTITIONS.default))
    const { groupId } = document.operations.settleOrders.bindings.kafka
    expect(groupId.enum).toEqual([SETTINGS.KAFKA_GROUP_ID.default])
  })

  it('knows all headers that are added, and every reason', () => {
    const documented = new Set([
      ...Object.keys(deadLetter.headers.properties),
      ...Object.keys(order.headers.properties),
    ])
    expect([...documented].sort()).toEqual([...Object.values(HEADER), 'traceparent'].sort())
    expect(deadLetter.headers.properties['holdfast.reason'].enum).toEqual([...REASONS])
  })

  it('describes a dead letter as it is produced', () => {
    const { headers } = toDeadLetterRecord(aDeadLetter(7n))
    const ajv = new Ajv({ strict: false, formats: fullFormats })
    const validate = ajv.compile(deadLetter.headers)
    expect(validate(Object.fromEntries(headers.map(([name, value]) => [name, value.toString()])))).toBe(true)
    expect(validate({ 'holdfast.id': 'x' })).toBe(false)
  })
})
