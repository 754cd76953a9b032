import { globSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

/** A server reads these in an encoding of its own; a comment with a dash of another alphabet stopped a migration. */
it.each([
  'migrations/*.sql',
  'prometheus/**/*.yml',
  'prometheus/**/*.yaml',
  'grafana/provisioning/**/*.y*ml',
  'docker-compose.yml',
])('text that a server reads is ASCII: %s', pattern => {
  for (const file of globSync(pattern)) {
    expect(readFileSync(file, 'utf8').match(/\P{ASCII}.*/u)?.[0], file).toBeUndefined()
  }
})
