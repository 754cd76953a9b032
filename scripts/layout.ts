import type { Layout } from './import-rules.ts'

/** The modules of src/, by subject, and what each may import. `make lint` checks it. */
export const layout: Layout = {
  modules: {
    engine: [],
    settings: ['engine'],
    inbox: ['engine'],
    'inbox/http': ['engine', 'inbox', 'http', 'settings/access.ts'],
    notify: ['engine', 'inbox'],
    read: ['engine', 'settings/access.ts'],
    'read/http': ['engine', 'read', 'http', 'settings/access.ts'],
    streams: [
      ...['engine/definition.ts', 'engine/generator.ts', 'engine/http-names.ts', 'engine/dead-letter.ts'],
      ...['engine/values/text.ts', 'engine/values/random.ts', 'engine/values/instant.ts'],
    ],
    telemetry: ['engine', 'settings', 'inbox', 'notify', 'read'],
    http: ['engine', 'inbox', 'read', 'settings'],
  },
  pure: [],
  composition: ['app\\.ts$', 'app/'],
  entries: ['main\\.ts$', 'index\\.ts$', 'testing\\.ts$', 'settings/streams\\.ts$', 'cli/', 'inbox/cli/'],
  common: ['clock\\.ts', 'version\\.ts'],
  browser: ['http', 'inbox', 'read', 'cli', 'streams'],
  libraries: {
    '@confluentinc/kafka-javascript': ['kafka'],
    pg: ['postgres', 'jobs'],
    'node-pg-migrate': ['postgres'],
    'pg-boss': ['jobs'],
    'lru-cache': ['read'],
    pino: ['telemetry'],
    'prom-client': ['telemetry'],
    '@opentelemetry': ['telemetry'],
    express: ['http'],
    helmet: ['http'],
    marked: ['http'],
    '@fastify/busboy': ['http'],
    ajv: ['engine', 'http'],
    commander: ['cli'],
    'p-retry': ['engine'],
  },
}
