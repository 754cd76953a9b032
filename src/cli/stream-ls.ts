import type { Stream } from '../engine/stream.ts'
import { print, table } from './output.ts'
import { loadSetup } from './streams.ts'

/** The streams of the project. */
export async function ls({ json }: { readonly json?: boolean }): Promise<void> {
  const { streams } = await loadSetup()
  if (json) {
    for (const stream of streams) print(JSON.stringify(streamJson(stream)))
    return
  }
  print(
    table(
      ['name', 'topic', 'dead letters', 'group', 'route', 'tables'],
      streams.map(({ name, topic, dlqTopic, groupId, route, tableNames }) => [
        ...[name, topic, dlqTopic, groupId, `/${route}`],
        tableNames.join(', '),
      ]),
    ),
  )
}

function streamJson({ name, topic, dlqTopic, groupId, route, plan }: Stream): object {
  const { schema, root, children } = plan
  const tables = [root, ...children].map(table => table.name)
  return { name, topic, dlq_topic: dlqTopic, group_id: groupId, route: `/${route}`, tables_in: schema, tables }
}
