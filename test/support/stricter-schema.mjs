/** Before a service (`node --import`): it is an earlier version of it, whose schema has a rule that was a mistake. */
import { registerHooks } from 'node:module'

const RIGHT = 'zip: text,'
const WRONG = "zip: { ...text, pattern: '^[0-9]+$' },"

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith('/src/streams/orders/schema.ts')) return loaded
    const source = String(loaded.source)
    if (!source.includes(RIGHT)) throw new Error(`the schema has no "${RIGHT}" any more`)
    return { ...loaded, source: source.replace(RIGHT, () => WRONG) }
  },
})
