import { userInfo } from 'node:os'

/** Who types, for the audit log. */
export function operatorName(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run as a user that has no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}
