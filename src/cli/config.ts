import { loadConfig } from '../settings/config.ts'
import { describeConfig } from '../settings/describe.ts'
import { envFile } from './env-file.ts'
import { print, table } from './output.ts'

export function showConfig({ json }: { readonly json?: boolean }): void {
  // Settings that cannot be used are reported, and not shown.
  loadConfig(process.env)
  const rows = describeConfig(process.env, envFile())
  if (json) for (const row of rows) print(JSON.stringify(row))
  else
    print(
      table(
        ['name', 'value', 'origin'],
        rows.map(({ name, value, origin, file }) => [name, value, file === undefined ? origin : `${origin} ${file}`]),
      ),
    )
}
