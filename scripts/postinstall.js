// Gets the native Kafka client loaded (scripts/native.ts). Node does not strip types below node_modules, so an installed package
// brings the same file as JavaScript.
import { existsSync } from 'node:fs'

const source = new URL('native.ts', import.meta.url)
await import(existsSync(source) ? source.href : new URL('../dist/scripts/native.js', import.meta.url).href)
