import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { migrate, migrationStatus, missingMigrations, projectMigrations } from '#src/postgres/migrate.ts'
import { createPool } from '#src/postgres/pool.ts'
import { freshDatabase } from '../support/stack.ts'

/** A working directory with these migrations. @returns its folder of them */
function aProject(migrations: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-project-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'migrations'))
  for (const [name, sql] of Object.entries(migrations)) writeFileSync(join(folder, 'migrations', name), sql)
  return projectMigrations(folder) ?? 'none was found'
}

const up = (table: string) =>
  `-- Up Migration\nCREATE TABLE ${table} (id text PRIMARY KEY);\n-- Down Migration\nDROP TABLE ${table};\n`

it('migrations of a project come after ours, under names of their own, and are taken back before them', async () => {
  const url = await freshDatabase()
  const project = aProject({ '0001_returns.sql': up('returns'), '0002_visits.sql': up('visits') })

  const applied = await migrate(url, 'up', { project })
  expect(applied.slice(-2)).toEqual(['migrations/0001_returns', 'migrations/0002_visits'])
  expect(applied[0]).toBe('0001_order_tables')
  expect(await migrate(url, 'up', { project })).toEqual([])

  expect(await migrate(url, 'down', { project })).toEqual(['migrations/0002_visits'])
  const status = await migrationStatus(url, project)
  expect(status.filter(({ appliedAt }) => appliedAt === undefined).map(({ name }) => name)).toEqual([
    'migrations/0002_visits',
  ])
  const pool = createPool({ url, max: 1, statementTimeoutMs: 10_000, name: 'test' })
  onTestFinished(() => pool.end())
  expect(await missingMigrations(pool, project)).toEqual(['migrations/0002_visits'])
  expect(await missingMigrations(pool)).toEqual([])
  expect(await migrate(url, 'down', { project, count: 2 })).toEqual(['migrations/0001_returns', applied.at(-3)])
})

it('a migration of a project that fails is named, and none of its folder is applied', async () => {
  const url = await freshDatabase()
  const project = aProject({ '0001_returns.sql': up('returns'), '0002_again.sql': up('returns') })
  await expect(migrate(url, 'up', { project })).rejects.toThrow(
    /the migration migrations\/0002_again failed: relation "returns" already exists.*correct the file/,
  )
  const missing = (await migrationStatus(url, project)).filter(({ appliedAt }) => appliedAt === undefined)
  expect(missing.map(({ name }) => name)).toEqual(['migrations/0001_returns', 'migrations/0002_again'])
})

it('the migrations of Holdfast itself are not taken for those of a project', () => {
  expect(projectMigrations('.')).toBeUndefined()
  expect(projectMigrations(tmpdir())).toBeUndefined()
})
