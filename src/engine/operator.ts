/** Who acts on a stream, and why: both go into the audit log. */
export interface Operator {
  /** Name of the key, or of the person at the terminal. */
  readonly who: string
  readonly because: string
}

/** The name under which automatic redrives stand in the audit log; no person can take it. */
export const AUTOMATIC = 'automatic'
/** What the audit log holds where no reason was given. */
const NOT_SAID = 'not said'

/** What a name of an operator may be, in words that complete "must be …". */
export const OPERATOR_NAME = "1 to 64 of A-Z a-z 0-9 '.' '_' '-' '+' '@', other than `automatic`"
const NAME = /^[A-Za-z0-9._+@-]{1,64}$/

/** The one rule for names of operators, whether a flag, a setting or an API key gives them. */
export function isOperatorName(text: string): boolean {
  return NAME.test(text) && text !== AUTOMATIC
}

/** @param because blank or `undefined`: none was given */
export function operatorOf(who: string, because: string | undefined): Operator {
  return { who, because: because?.trim() || NOT_SAID }
}
