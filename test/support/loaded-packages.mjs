/** Before a program (`node --import`): at its end, the packages that it has loaded, as a JSON array on stderr. */
import { registerHooks } from 'node:module'

const loaded = new Set()
registerHooks({
  load(url, context, nextLoad) {
    const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)/.exec(url)?.[1]
    if (name !== undefined) loaded.add(name)
    return nextLoad(url, context)
  },
})
process.on('exit', () => console.error(`packages: ${JSON.stringify([...loaded].sort())}`))
