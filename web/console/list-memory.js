/**
 * The last state of the list: on the way back from one dead letter it shows the same rows at the same place, with what was
 * selected and checked. An action on dead letters makes it outdated.
 */
let shown

export function shownList() {
  return shown
}

export function keepList(list) {
  shown = list
  return list
}

export function forgetList() {
  shown = undefined
}

/** The dead letter before and after this one, as they were listed. */
export function neighboursOf(id, { q, sort }) {
  if (shown?.q !== q || shown.sort !== sort) return {}
  const at = shown.rows.findIndex(row => row.id === id)
  return at === -1 ? {} : { before: shown.rows[at - 1]?.id, after: shown.rows[at + 1]?.id }
}

/** Stores the row, so that the list is restored with the cursor on it. */
export function remember(id) {
  if (shown !== undefined) shown.at = id
}
