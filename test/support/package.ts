import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const run = promisify(execFile)

/** What is linked, not copied: no script of a build writes there. */
const LINKED = ['node_modules', '.tools']
/** What no package is made of, or another build is about to replace. */
const LEFT_OUT = /^(node_modules|\.tools|\.git|\.data|coverage|dist(\.\d+)?)$/

/**
 * Packs this checkout as `npm pack` does: a copy of it, because the build replaces dist/, which another test may be packing.
 * @returns the tarball's path, and the files in it
 */
export async function pack(folder: string): Promise<{ tarball: string; files: string[] }> {
  const copy = await mkdtemp(join(tmpdir(), 'holdfast-pack-'))
  try {
    await cp(ROOT, copy, { recursive: true, filter: path => !LEFT_OUT.test(relative(ROOT, path)) })
    for (const name of LINKED) if (existsSync(join(ROOT, name))) await symlink(join(ROOT, name), join(copy, name))
    return await packIn(copy, folder)
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

async function packIn(checkout: string, folder: string): Promise<{ tarball: string; files: string[] }> {
  const args = ['pack', '--json', '--loglevel=error', '--foreground-scripts=false', '--pack-destination', folder]
  const { stdout } = await run('npm', args, { cwd: checkout, maxBuffer: 64 * 1024 * 1024 })
  // What a script of ours prints comes before it.
  const parsed = JSON.parse(stdout.slice(stdout.search(/^[[{]/m))) as Packed[] | Record<string, Packed>
  const [packed] = Object.values(parsed)
  if (packed === undefined) throw new Error(`npm pack answered ${stdout}`)
  return { tarball: join(folder, packed.filename), files: packed.files.map(({ path }) => path) }
}

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

/**
 * A project that has installed the tarball. npm itself would fetch a hundred megabytes for each test: the package is unpacked, and the
 * dependencies that it declares are links to those of this checkout. What this leaves out: npm's resolution of versions, and the
 * scripts that an install runs.
 */
export async function installPacked(tarball: string, project: string): Promise<void> {
  const installed = join(project, 'node_modules', 'holdfast')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as Manifest
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(project, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(ROOT, 'node_modules', name), link)
  }
  await mkdir(join(project, 'node_modules', '.bin'), { recursive: true })
  await symlink('../holdfast/bin/holdfast', join(project, 'node_modules', '.bin', 'holdfast'))
  await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
}
