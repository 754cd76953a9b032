import type { Branch } from './tree.js'

/** For the server, which draws `/view` with it. @param order as `GET /order/:uid` serves it */
export function valueView(
  order: object,
  origin: { readonly source: 'memory' | 'database'; readonly elapsedMs?: number },
): Branch
