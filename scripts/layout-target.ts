import type { Layout } from './import-rules.ts'

/**
 * The layout to come (modules by subject): it takes the place of layout.ts when the files move.
 * To see what is left: node scripts/check-imports.ts scripts/layout-target.ts
 */
export const layout: Layout = {
  modules: {
    engine: [],
    settings: ['engine'],
    inbox: ['engine'],
    read: ['engine'],
    streams: ['engine/definition.ts', 'engine/stream.ts'],
    telemetry: ['engine', 'settings'],
    http: ['engine', 'inbox', 'read', 'settings'],
  },
  pure: [],
  composition: ['app[a-z-]*\\.ts$'],
  entries: ['main\\.ts$', 'index\\.ts$', 'testing\\.ts$', 'settings/streams\\.ts$', 'cli/'],
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
    '@fastify/busboy': ['http'],
    ajv: ['engine', 'http'],
    commander: ['cli'],
  },
}
