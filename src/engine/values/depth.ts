import type { Violation } from '../dead-letter.ts'

/** Objects and arrays within one another; deeper ones overflow the stack of a careless reader. */
export const MAX_DEPTH = 32

export const TOO_DEEP: Violation = {
  pointer: '',
  keyword: 'max_depth',
  message: `must not nest objects and arrays more than ${MAX_DEPTH} deep`,
}

/** Level by level instead of by recursion, so that 200,000 brackets cost time but no stack. */
export function isTooDeep(data: unknown): boolean {
  let level = isContainer(data) ? [data] : []
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === MAX_DEPTH) return true
    level = level.flatMap(container => Object.values(container).filter(isContainer))
  }
  return false
}

function isContainer(data: unknown): data is object {
  return typeof data === 'object' && data !== null
}
