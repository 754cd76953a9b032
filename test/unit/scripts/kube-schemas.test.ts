import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { schemasOfCrd, schemasOfSwagger } from '../../../scripts/kube-schemas.ts'

const ajv = new Ajv({ strict: false })
const swagger = {
  definitions: {
    'io.k8s.api.apps.v1.Deployment': {
      type: 'object',
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        spec: { $ref: '#/definitions/Spec' },
      },
      'x-kubernetes-group-version-kind': [{ group: 'apps', version: 'v1', kind: 'Deployment' }],
    },
    Spec: {
      type: 'object',
      required: ['replicas'],
      properties: {
        replicas: { type: 'integer', format: 'int32' },
        format: { type: 'string' },
        port: { $ref: '#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString' },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
      },
    },
    'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { type: 'string', format: 'int-or-string' },
    Unrelated: { type: 'object' },
  },
}

describe('a kind of Kubernetes', () => {
  const schema = schemasOfSwagger(swagger).get('deployment-apps-v1')
  const takes = ajv.compile(schema ?? false)
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment' }

  it('has what it refers to with it, and no more', () => {
    expect(Object.keys(schema?.definitions as object).sort()).toEqual(
      Object.keys(swagger.definitions)
        .filter(name => name !== 'Unrelated')
        .sort(),
    )
  })

  it('takes what is defined', () => {
    expect(takes({ ...deployment, spec: { replicas: 2, format: 'x', port: 'http', labels: { a: 'b' } } })).toBe(true)
    expect(takes({ ...deployment, spec: { replicas: 2, port: 80 } })).toBe(true)
  })

  it.each([
    { spec: { replica: 2, replicas: 2 } },
    { spec: { replicas: '2' } },
    { spec: {} },
    { spec: { replicas: 2, labels: { a: 1 } } },
    { kind: 'Deploymnt' },
    { specs: {} },
  ])('refuses %j', changed => {
    expect(takes({ ...deployment, ...changed })).toBe(false)
  })
})

it('knows the kinds of a custom resource definition, which refuse what they do not name', () => {
  const schemas = schemasOfCrd({
    spec: {
      group: 'keda.sh',
      names: { kind: 'ScaledObject' },
      versions: [
        {
          name: 'v1alpha1',
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: {
                  type: 'object',
                  properties: { max: { type: 'integer' }, port: { 'x-kubernetes-int-or-string': true } },
                },
              },
            },
          },
        },
      ],
    },
  })
  const takes = ajv.compile(schemas.get('scaledobject-keda-v1alpha1') ?? false)
  const object = { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name: 'a' } }
  expect(takes({ ...object, spec: { max: 2, port: 'http' } })).toBe(true)
  expect(takes({ ...object, spec: { maximum: 2 } })).toBe(false)
})
