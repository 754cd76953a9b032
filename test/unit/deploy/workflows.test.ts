import { globSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ROOT } from '../../support/kube-objects.ts'

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
}

interface Workflow {
  readonly name: string
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly permissions?: Readonly<Record<string, string>>
        readonly steps?: readonly Step[]
        readonly 'timeout-minutes'?: number
        readonly uses?: string
      }
    >
  >
}

const textOf = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const files = globSync('.github/workflows/*.yml', { cwd: ROOT })

describe.each(files)('%s', file => {
  const text = textOf(file)
  const { permissions, jobs } = parse(text) as Workflow
  const steps = Object.values(jobs).flatMap(({ steps = [] }) => steps)

  it('may read the repository, and what a job needs beyond that stands with the job', () => {
    expect(permissions).toEqual({ contents: 'read' })
  })

  it('takes each action by its commit, with the version beside it: a tag can be moved', () => {
    const uses = [...text.matchAll(/uses: ([^.\s]\S*)(.*)/g)]
    expect(uses.length).toBeGreaterThan(1)
    for (const [, action, comment] of uses) {
      expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/)
      expect(comment, action).toMatch(/^ # v\d+\.\d+\.\d+$/)
    }
  })

  it('takes the same commit of an action everywhere', () => {
    const all = files.flatMap(other => [...textOf(other).matchAll(/uses: ([\w-]+\/[\w-]+)@(\w+)/g)])
    const commits = new Map<string, Set<string>>()
    for (const [, action = '', commit = ''] of all) commits.set(action, (commits.get(action) ?? new Set()).add(commit))
    for (const [action, found] of commits) expect([...found], action).toHaveLength(1)
  })

  it('leaves no credentials in the checkout', () => {
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'))
    expect(checkouts.length).toBeGreaterThan(0)
    for (const { with: given } of checkouts) expect(given).toMatchObject({ 'persist-credentials': false })
  })

  it('puts nothing into a script that somebody else can write: it comes as a variable', () => {
    for (const { run = '' } of steps) expect(run).not.toContain('${{')
  })

  it('ends, whatever hangs', () => {
    for (const [name, job] of Object.entries(jobs)) {
      if (job.uses === undefined) expect(job['timeout-minutes'], name).toBeGreaterThan(0)
    }
  })
})

it('gives an image to both kinds of processors, and where it came from', () => {
  const text = textOf('.github/workflows/release.yml')
  for (const platform of ['linux/amd64', 'linux/arm64']) expect(text).toContain(`platform: ${platform}`)
  for (const part of ['provenance: mode=max', 'sbom: true', 'npm publish --provenance', 'attest-build-provenance@']) {
    expect(text).toContain(part)
  }
})

it('runs the tests that the build server runs', () => {
  expect(textOf('.github/workflows/test.yml')).toContain('run: .ci/run')
})

it('has every kind of dependency looked after, and forms that GitHub reads', () => {
  const { updates } = parse(textOf('.github/dependabot.yml')) as { updates: { 'package-ecosystem': string }[] }
  const kinds = updates.map(update => update['package-ecosystem']).sort()
  expect(kinds).toEqual(['docker', 'docker-compose', 'github-actions', 'npm'])
  for (const form of ['bug', 'feature']) {
    const { name, description, body } = parse(textOf(`.github/ISSUE_TEMPLATE/${form}.yml`)) as {
      name: string
      description: string
      body: { type: string; id?: string; attributes: { label?: string } }[]
    }
    expect([name, description].every(text => text.length > 5)).toBe(true)
    const ids = body.filter(({ type }) => type !== 'markdown').map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { type, attributes } of body) if (type !== 'markdown') expect(attributes.label).toBeDefined()
  }
})
