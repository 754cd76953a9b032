import { defineConfig, defineStream } from '#src/index.ts'

const count = Number(process.env.BENCH_STREAMS)
const schema = {
  type: 'object',
  required: ['id', 'n'],
  properties: { id: { type: 'string' }, n: { type: 'integer' } },
} as const

/** As many equal streams as BENCH_STREAMS says: `stream_1` and so on, each with a topic and a table of its own. */
export default defineConfig({
  streams: Array.from({ length: count }, (_, index) => {
    const name = `stream_${index + 1}`
    return defineStream({ name, schema, key: '/id', tables: { [name]: { columns: ['/n'] } } })
  }),
})
