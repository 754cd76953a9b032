import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { COMPILED } from '../../support/service.ts'

const CONFIG = `
const schema = {
  type: 'object',
  required: ['return_id', 'created_at'],
  properties: {
    return_id: { type: 'string' }, created_at: { type: 'string', format: 'date-time' }, ticket: { type: 'string' },
    reason: { type: 'string' },
  },
}
const returns = {
  name: 'returns',
  schema,
  key: '/ticket',
  tables: {
    returns: { columns: ['/nowhere', { as: 'total', from: () => 1 }, { at: '/reason', as: '${'x'.repeat(64)}' }] },
    replays: { at: '/reason' },
  },
}
const admin = { name: 'admin', schema, key: '/return_id', tables: { returns: {} } }
export default { streams: [returns, admin] }
`

/** How the service ends with this file of streams, before it asks any server. */
function serve(config: string, ...args: readonly string[]) {
  const cwd = mkdtempSync(join(tmpdir(), 'holdfast-mistaken-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  writeFileSync(join(cwd, 'holdfast.config.mjs'), config)
  const env = { PATH: process.env.PATH, NO_COLOR: '1', DATABASE_URL: 'postgres://127.0.0.1:1/none', ...COMPILED }
  return new Promise<{ code: unknown; stdout: string; stderr: string }>(done => {
    execFile(process.execPath, [resolve('src/cli/main.ts'), 'serve', ...args], { cwd, env }, (error, stdout, stderr) =>
      done({ code: error?.code ?? 0, stdout, stderr }),
    )
  })
}

it.each([[[]], [['--check-config']], [['--streams', 'admin']]])(
  'serve %j ends with 2 before it starts, and names each mistake of each stream with its place',
  async args => {
    const { code, stdout, stderr } = await serve(CONFIG, ...args)

    expect(code).toBe(2)
    expect(stdout).toBe('')
    const [summary, ...mistakes] = stderr.trim().split('\n')
    for (const named of [
      'stream returns: key: /ticket must be required',
      'stream returns: tables.returns.columns[0]: the schema has no /nowhere',
      'stream returns: tables.returns.columns[1]: a column without "at" needs "as" (its name), "type" and "from"',
      `stream returns: tables.returns: the name of the column "${'x'.repeat(64)}" has 64 bytes, and Postgres keeps 63`,
      'stream returns: tables.replays: Holdfast has a table of this name for itself',
      'stream admin: route: "admin" is an address of Holdfast itself',
      'stream admin: the table "returns" is already that of the stream returns',
    ]) {
      expect(mistakes.filter(line => line.includes(named))).toHaveLength(1)
    }
    expect(summary).toBe(`error: ${mistakes.length} mistakes in the streams`)
  },
)

it('serve --streams with a name that the project does not list ends with 2, and names those that it lists', async () => {
  const schema = "{ type: 'object', required: ['id'], properties: { id: { type: 'string' } } }"
  const config = `export default { streams: ['returns', 'visits'].map(name => (
    { name, schema: ${schema}, key: '/id', tables: { [name]: { columns: ['/id'] } } })) }`

  expect(await serve(config, '--check-config', '--streams', 'visits')).toMatchObject({ code: 0, stdout: '' })
  expect(await serve(config, '--streams', 'returns,visit')).toEqual({
    ...{ code: 2, stdout: '' },
    stderr: 'error: there is no stream "visit": the streams are returns, visits; did you mean visits?\n',
  })
})
