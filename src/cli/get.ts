import { UsageError } from '../engine/errors.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { createValueReader } from '../read/postgres/value-reader.ts'
import { CommandFailed } from './failure.ts'
import { print } from './output.ts'
import { loadSetup, oneStream } from './streams.ts'

interface GetOptions {
  readonly stream?: string
  readonly json?: boolean
}

/** Prints one stored value. */
export async function get(key: string, { stream: name, json }: GetOptions): Promise<void> {
  const setup = await loadSetup()
  const stream = oneStream(setup, name)
  if (!stream.isKey(key)) {
    const { keyRule } = stream.http
    throw new UsageError(`${JSON.stringify(key)} cannot be a key of the stream ${stream.name}. ${keyRule}`)
  }
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...setup.config.postgres, max: 1, name: 'cli' })
  parts.defer(() => pool.end())
  const value = await createValueReader(pool, stream.queries).read(key)
  if (value === undefined) throw new CommandFailed(`there is no value with the key ${key} in the stream ${stream.name}`)
  const text = value.json.toString()
  print(json ? text : JSON.stringify(JSON.parse(text), undefined, 2))
}
