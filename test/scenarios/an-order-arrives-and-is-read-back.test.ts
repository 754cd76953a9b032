import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { eventually, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const model = JSON.parse(await readFile(new URL('../../data/model.json', import.meta.url), 'utf8'))

it('writes the sample order into four tables and serves it as it was sent', async () => {
  const stream = await aStream()
  const service = await startService(stream)
  await stream.produce([{ key: Buffer.from(model.order_uid), value: JSON.stringify(model) }])
  await eventually(async () => (await stream.settled()) === 1, 'the order being settled')

  const response = await fetch(`${service.url}/order/${model.order_uid}`)
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual(model)
  for (const table of ['orders', 'deliveries', 'payments', 'items']) {
    const [row] = await stream.query<{ count: string }>(`SELECT count(*) FROM ${table}`)
    expect(row?.count, table).toBe('1')
  }
  await eventually(async () => (await stream.committed()) === 1, 'the commit')
  expect(await service.stop()).toBe(0)
})

it('replaces an order in all four tables when a newer version comes; its items shrink and grow', async () => {
  const stream = await aStream()
  const service = await startService(stream)
  const version = (items: number, name: string) => ({
    ...model,
    customer_id: name,
    delivery: { ...model.delivery, name },
    payment: { ...model.payment, bank: name },
    items: Array.from({ length: items }, (_, i) => ({ ...model.items[0], rid: `${name}-${i}` })),
  })
  for (const [settled, order] of [version(3, 'first'), version(1, 'second'), version(5, 'third')].entries()) {
    await stream.produce([{ key: Buffer.from(model.order_uid), value: JSON.stringify(order), partition: 0 }])
    // What is counted is in memory as well; what is settled may not be for a moment.
    await eventually(async () => (await service.metric('records_total')) === settled + 1, `version ${settled + 1}`)
    const response = await fetch(`${service.url}/order/${model.order_uid}`)
    expect(await response.json()).toEqual(order)
    const rows = await stream.query<{ position: number; rid: string }>(
      'SELECT position, rid FROM items ORDER BY position',
    )
    expect(rows.map(({ rid }) => rid)).toEqual(order.items.map((item: { rid: string }) => item.rid))
  }
})
