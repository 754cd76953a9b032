import { globSync, readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import schema from '../../../deploy/helm/holdfast/values.schema.json' with { type: 'json' }
import manifest from '../../../package.json' with { type: 'json' }
import { ROOT } from '../../support/kube-objects.ts'

const CHART = 'deploy/helm/holdfast'
const textOf = (path: string) => readFileSync(new URL(`${CHART}/${path}`, ROOT), 'utf8')
const values = parse(textOf('values.yaml')) as Record<string, unknown>
const templates = globSync('templates/*', { cwd: new URL(`${CHART}/`, ROOT) }).map(file => ({
  file,
  text: textOf(file),
}))

describe('the chart', () => {
  it('is of this version', () => {
    expect(parse(textOf('Chart.yaml'))).toMatchObject({
      version: manifest.version,
      appVersion: manifest.version,
      description: manifest.description,
    })
  })

  it('uses no value that values.yaml does not explain', () => {
    const used = templates.flatMap(({ file, text }) =>
      [...text.matchAll(/\.Values((?:\.\w+)+)/g)].map(([, path = '']) => ({ file, path: path.slice(1) })),
    )
    expect(used.length).toBeGreaterThan(50)
    for (const { file, path } of used) {
      const node = path
        .split('.')
        .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], values)
      expect(node, `${file}: ${path}`).toBeDefined()
    }
  })
})

describe('its schema', () => {
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema)

  it('takes the values that it comes with, and names each', () => {
    expect(validate(values), JSON.stringify(validate.errors)).toBe(true)
    expect(
      Object.keys(schema.properties)
        .filter(name => name !== 'global')
        .sort(),
    ).toEqual(Object.keys(values).sort())
  })

  it.each([
    { replicas: 3 },
    { settings: { kafka_brokers: 'x' } },
    { migrations: { mode: 'sometimes' } },
    { roles: ['reader'] },
    { shutdown: { preStopSeconds: 5, timeoutSeconds: 25, reserveSeconds: 0 } },
    { ports: { http: 0, metrics: 9464 } },
    { image: { repository: 'holdfast', digest: '0123' } },
    { autoscaling: { treshold: 5 } },
  ])('refuses %j', changed => {
    expect(validate({ ...values, ...changed })).toBe(false)
  })
})
