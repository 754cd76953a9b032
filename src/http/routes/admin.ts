import { Router } from 'express'
import type { AdminGuard, AdminParts } from '../admin.ts'
import { adminLetterRoutes } from './admin-letters.ts'
import { adminReplayRoutes } from './admin-replays.ts'
import { adminStreamRoutes } from './admin-stream.ts'

/** Everything below `/admin/`: for the role admin, with a key only, so that a page of another site has nothing to forge. */
export function adminRoutes(parts: AdminParts, guard: AdminGuard): Router {
  const router = Router({ caseSensitive: true })
  const patient = { ...guard, storeSilentMs: parts.storeSilentMs }
  // Redrives stand before the letters, because `/admin/dead-letters/replays` is no letter's id.
  router.use(adminReplayRoutes(parts, patient))
  router.use(adminLetterRoutes(parts, patient))
  router.use(adminStreamRoutes(parts, patient))
  return router
}
