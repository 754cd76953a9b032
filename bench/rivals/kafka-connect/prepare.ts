/**
 * `node prepare.ts DIR`: fetches Kafka Connect and the sink (70 MB, once), makes the table and the trigger in DATABASE_URL, and writes the
 * properties into DIR. Prints the folder of the jars.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { fetchByMaven } from '#tools/demo/servers/maven.ts'

const { KAFKA_BROKERS = '', KAFKA_TOPIC = '', KAFKA_GROUP_ID = '', DATABASE_URL = '' } = process.env
const [dir = '.'] = process.argv.slice(2)
const jars = await fetchByMaven(
  {
    folder: 'kafka-connect-4.1.1',
    what: 'Kafka Connect 4.1.1 with the JDBC sink of Debezium 3.3.1',
    size: '70 MB',
    args: [
      ...['--file', fileURLToPath(new URL('pom.xml', import.meta.url))],
      ...['org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies', '-DincludeScope=runtime'],
    ],
    proof: 'debezium-connector-jdbc-3.3.1.Final.jar',
    otherWays: '',
  },
  line => console.error(line),
)
await createTrigger()
writeProperties('worker.properties', {
  'bootstrap.servers': KAFKA_BROKERS,
  listeners: 'http://127.0.0.1:0',
  'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
  'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
  'offset.storage.file.filename': join(dir, 'offsets'),
  // Offsets are committed every minute by default; the benchmark waits for them.
  'offset.flush.interval.ms': '500',
})
const database = new URL(DATABASE_URL)
writeProperties('sink.properties', {
  name: KAFKA_GROUP_ID,
  'connector.class': 'io.debezium.connector.jdbc.JdbcSinkConnector',
  'tasks.max': '1', // a second one would write versions of an order in any order after a rebalance
  topics: KAFKA_TOPIC,
  'consumer.override.group.id': KAFKA_GROUP_ID,
  'consumer.override.auto.offset.reset': 'earliest',
  'consumer.override.max.poll.records': '1000',
  'connection.url': `jdbc:postgresql://${database.host}${database.pathname}?reWriteBatchedInserts=true`,
  'connection.username': decodeURIComponent(database.username),
  'connection.password': decodeURIComponent(database.password),
  'insert.mode': 'insert',
  'primary.key.mode': 'none',
  'schema.evolution': 'none',
  'collection.name.format': 'incoming',
  'batch.size': '1000',
  transforms: 'hoist',
  'transforms.hoist.type': 'org.apache.kafka.connect.transforms.HoistField$Value',
  'transforms.hoist.field': 'payload',
})
console.log(jars)

/**
 * A JDBC sink writes into a single table. So records are inserted as text, and a trigger spreads each statement's over the four tables.
 * `incoming` need not survive a crash: it is only passed through.
 */
async function createTrigger(): Promise<void> {
  const client = new pg.Client({ connectionString: DATABASE_URL })
  await client.connect()
  await client.query(`
    CREATE UNLOGGED TABLE incoming (n bigserial, payload text NOT NULL);
    CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      WITH ${readFileSync(new URL('../spread.sql', import.meta.url), 'utf8')};
      RETURN NULL;
    END
    $$;
    CREATE TRIGGER spread AFTER INSERT ON incoming REFERENCING NEW TABLE AS arrived
      FOR EACH STATEMENT EXECUTE FUNCTION spread()`)
  await client.end()
}

function writeProperties(file: string, properties: Readonly<Record<string, string>>): void {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}`)
  writeFileSync(join(dir, file), `${lines.join('\n')}\n`, { mode: 0o600 })
}
