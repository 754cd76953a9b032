export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Parts of the service that log: the field `module` of each line, and what LOG_LEVEL may name. */
export const LOG_MODULES = ['process', 'stream', 'kafka', 'cache', 'http', 'jobs', 'tracing'] as const
export type LogModule = (typeof LOG_MODULES)[number]

/** The least that is logged: of all modules, and of those that have a level of their own. */
export interface LogLevels {
  readonly level: LogLevel
  readonly modules: Readonly<Partial<Record<LogModule, LogLevel>>>
}

const DEFAULT: LogLevel = 'info'

/**
 * Reads `warn`, `info,kafka=debug,http=warn`, `kafka=debug` (the others at the default), in any case of letters.
 * @returns `undefined` when a level or module is unknown, or named twice
 */
export function parseLogLevels(text: string): LogLevels | undefined {
  let level: LogLevel | undefined
  const modules: Partial<Record<LogModule, LogLevel>> = {}
  for (const part of text.toLowerCase().split(',')) {
    const [left = '', right, ...more] = part.split('=').map(word => word.trim())
    const found = LOG_LEVELS.find(known => known === (right ?? left))
    if (found === undefined || more.length > 0) return undefined
    if (right === undefined) {
      if (level !== undefined) return undefined
      level = found
      continue
    }
    const module = LOG_MODULES.find(known => known === left)
    if (module === undefined || modules[module] !== undefined) return undefined
    modules[module] = found
  }
  return { level: level ?? DEFAULT, modules }
}
