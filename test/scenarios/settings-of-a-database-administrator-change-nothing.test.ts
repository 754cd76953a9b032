import { expect, it } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast } from '../support/cli.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const orders = generated(300, { seed: 57, updatesRatio: 0.5 })
/** What somebody may set for a database or a user, for reasons of his own. */
const SETTINGS = {
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  statement_timeout: '1ms',
  lock_timeout: '1ms',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '2s',
  transaction_timeout: '5s',
  datestyle: 'German, DMY',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Kathmandu',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  client_encoding: 'LATIN1',
  quote_all_identifiers: 'on',
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
}

it('two processes settle as ever, and what is told of it reads the same', async () => {
  const startedMs = Date.now()
  // Given a user of the database for whom its administrator has set much of what can be set
  const stream = await aStream({ partitions: 3 })
  const url = new URL(stream.databaseUrl)
  const user = `burdened_${url.pathname.slice(1)}`
  await stream.query(`CREATE ROLE ${user} SUPERUSER LOGIN PASSWORD '${user}'`)
  for (const [setting, value] of Object.entries(SETTINGS)) {
    await stream.query(`ALTER ROLE ${user} SET ${setting} TO ${setting === 'datestyle' ? value : `'${value}'`}`)
  }
  url.username = user
  url.password = user
  const burdened = { ...stream, databaseUrl: url.href }

  // When two processes share its partitions, and sit idle for a while in between
  const first = await startService(burdened)
  await stream.produce([...orders.slice(0, 150), ...brokenOrders(3, { prefix: 'one' })])
  await eventually(async () => (await stream.settled()) === 153, 'the first half being settled')
  const second = await startService(burdened)
  await eventually(async () => (await isReady(first)) && (await isReady(second)), 'readiness of both')
  await new Promise<void>(resolve => setTimeout(resolve, 2_500))
  await stream.produce([...orders.slice(150), ...brokenOrders(3, { prefix: 'two' })])
  await eventually(async () => (await stream.committed()) === 306, 'all of them being committed')

  // Then all is as it should be
  expect(await differences(stream, modelOf(orders))).toEqual([])
  expect(await stream.findings()).toEqual([])
  const newest = orders.findLast(({ uid }) => uid === orders[0]?.uid)
  const { date_created: told, ...rest } = JSON.parse((await ask(first, `/order/${newest?.uid}`)).body)
  const { date_created: sent, ...others } = JSON.parse(String(newest?.value))
  expect([rest, Date.parse(told)]).toEqual([others, Date.parse(sent)])
  const [letter] = JSON.parse(`[${(await holdfast(burdened, 'dlq', 'ls', '--json')).stdout.trim().split('\n').join()}]`)
  // (Read in a wrong time zone, they would be hours off.)
  expect(Date.parse(letter.failed_at)).toBeGreaterThanOrEqual(startedMs)
  const lag = (await holdfast(burdened, 'lag', '--json')).stdout.trim().split('\n')
  for (const line of lag) {
    const { lag_records, last_progress_at } = JSON.parse(line)
    expect(lag_records).toBe(0)
    expect(Date.parse(last_progress_at)).toBeGreaterThanOrEqual(startedMs)
  }
  for (const service of [first, second]) expect(await service.stop()).toBe(0)
})
