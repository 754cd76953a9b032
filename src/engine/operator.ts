/** Who acts on a stream, and why: both go into the audit log. */
export interface Operator {
  /** Name of the key, or of the person at the terminal: for the audit log. */
  readonly who: string
  readonly because: string
}
