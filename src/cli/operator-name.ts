import { userInfo } from 'node:os'
import { InvalidArgumentError, type Option } from 'commander'
import { isOperatorName, OPERATOR_NAME, type Operator, operatorOf } from '../engine/operator.ts'
import type { Config } from '../settings/config.ts'
import { option } from './command.ts'

/** What every command takes that an operator has to answer for. */
export interface ActingOptions {
  /** The name that --as gives. */
  readonly as?: string | undefined
  readonly because?: string | undefined
}

export function asOption(): Option {
  return option(
    '--as <name>',
    'who does it, for the audit log (default: OPERATOR, else the user of this terminal)',
    parseName,
  )
}

/** Who acts: --as, else OPERATOR, else the user at the terminal. */
export function actingOperator({ operator }: Pick<Config, 'operator'>, { as, because }: ActingOptions): Operator {
  return operatorOf(as ?? operator ?? userAtTerminal(), because)
}

function parseName(text: string): string {
  if (!isOperatorName(text)) throw new InvalidArgumentError(`It must be ${OPERATOR_NAME}.`)
  return text
}

/** Names of the operating system may hold other characters: those are replaced. */
function userAtTerminal(): string {
  const name = nameOfUser()
    .replace(/[^A-Za-z0-9._+@-]/g, '_')
    .slice(0, 64)
  return isOperatorName(name) ? name : `user-${name}`.slice(0, 64)
}

function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run as a user without a name.
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
