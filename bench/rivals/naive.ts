/**
 * A rival to try `--beside` with: the client library as its documentation shows it, one order a transaction. No validation, no dead
 * letters: a record that it cannot store holds its partition up for ever.
 */
import { KafkaJS } from '@confluentinc/kafka-javascript'
import pg from 'pg'

const { KAFKA_BROKERS = '', KAFKA_TOPIC = '', KAFKA_GROUP_ID = '', DATABASE_URL = '' } = process.env

/** Fields of the parts of an order; a column has the name of its field. */
const ORDER = [
  ...['order_uid', 'track_number', 'entry', 'locale', 'internal_signature', 'customer_id', 'delivery_service'],
  ...['shardkey', 'sm_id', 'date_created', 'oof_shard'],
]
const DELIVERY = ['name', 'phone', 'zip', 'city', 'address', 'region', 'email']
const PAYMENT = [
  ...['transaction', 'request_id', 'currency', 'provider', 'amount', 'payment_dt', 'bank'],
  ...['delivery_cost', 'goods_total', 'custom_fee'],
]
const ITEM = [
  ...['chrt_id', 'track_number', 'price', 'rid', 'name', 'sale', 'size', 'total_price', 'nm_id', 'brand', 'status'],
]

type Fields = Readonly<Record<string, unknown>>
interface Order extends Fields {
  readonly order_uid: string
  readonly delivery: Fields
  readonly payment: Fields
  readonly items: readonly Fields[]
}

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 1 })
const consumer = new KafkaJS.Kafka({ kafkaJS: { brokers: KAFKA_BROKERS.split(',') } }).consumer({
  kafkaJS: { groupId: KAFKA_GROUP_ID, fromBeginning: true, autoCommit: true, autoCommitInterval: 100 },
})
await consumer.connect()
await consumer.subscribe({ topic: KAFKA_TOPIC })
await consumer.run({
  eachMessage: async ({ message }) => await store(JSON.parse(String(message.value)) as Order),
})
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))

async function store(order: Order): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await upsert(client, 'orders', ['order_uid'], ORDER, order)
    await upsert(client, 'deliveries', ['order_uid'], ['order_uid', ...DELIVERY], {
      ...order.delivery,
      ...keyOf(order),
    })
    await upsert(client, 'payments', ['order_uid'], ['order_uid', ...PAYMENT], { ...order.payment, ...keyOf(order) })
    await client.query('DELETE FROM items WHERE order_uid = $1', [order.order_uid])
    for (const [position, item] of order.items.entries()) {
      const columns = ['order_uid', 'position', ...ITEM]
      await upsert(client, 'items', ['order_uid', 'position'], columns, { ...item, position, ...keyOf(order) })
    }
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}

function keyOf({ order_uid }: Order): Fields {
  return { order_uid }
}

async function upsert(
  client: pg.PoolClient,
  table: string,
  key: readonly string[],
  columns: readonly string[],
  row: Fields,
): Promise<void> {
  const values = columns.map((_, i) => `$${i + 1}`)
  const changes = columns.filter(name => !key.includes(name)).map(name => `${name} = excluded.${name}`)
  await client.query({
    name: table,
    text: `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values.join(', ')})
      ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${changes.join(', ')}`,
    values: columns.map(name => row[name]),
  })
}
