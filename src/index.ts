export type { StreamDefinition } from './engine/definition.ts'
