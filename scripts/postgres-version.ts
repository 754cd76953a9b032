/** Fetches the binaries of another major version of PostgreSQL into the user's cache, for the tests of versions: `postgres-version.ts 14`. */
import { SetupError } from '../tools/demo/servers/machine.ts'
import { postgresBinaries } from '../tools/demo/servers/postgres-versions.ts'

try {
  await postgresBinaries(line => console.error(line), process.argv[2])
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
