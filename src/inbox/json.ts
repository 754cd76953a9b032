import type { DeadLetterGroup, DeadLetterRow } from './ports.ts'

/** A row of the index as API and `--json` give it. `order_uid` is the name that `key` had: it goes with the next version. */
export function rowJson<R extends DeadLetterRow>(row: R): R & { readonly order_uid: string | null } {
  return { ...row, order_uid: row.key }
}

/** A group of the index as API and `--json` give it, with the same alias in its sample. */
export function groupJson(group: DeadLetterGroup): object {
  return { ...group, sample: { ...group.sample, order_uid: group.sample.key } }
}
