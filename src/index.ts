/** What a project imports as `holdfast`. */
export {
  type ColumnDefinition,
  defineConfig,
  defineStream,
  type HoldfastConfig,
  type JsonSchema,
  type Pointer,
  type StreamDefinition,
  type TableDefinition,
  type ValueOf,
} from './engine/definition.ts'
