import { userInfo } from 'node:os'

/** The user at the terminal, for the audit log. */
export function operatorName(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run as a user without a name.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}
