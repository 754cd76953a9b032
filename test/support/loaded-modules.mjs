/** Before a program (`node --import`): says at its end, on stderr, which packages of OpenTelemetry it has loaded. */
import { registerHooks } from 'node:module'

const loaded = new Set()
registerHooks({
  load(url, context, nextLoad) {
    const name = /\/node_modules\/(@opentelemetry\/[^/]+)\/(?!.*\/node_modules\/)/.exec(url)?.[1]
    if (name !== undefined) loaded.add(name)
    return nextLoad(url, context)
  },
})
process.on('exit', () => console.error(`loaded: ${[...loaded].sort().join(' ')}`))
