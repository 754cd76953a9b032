/** Letters by cause, as the service groups those that it finds by itself. @param {any[]} groups @param {any[]} rows */
export function addToGroups(groups, rows) {
  const byCause = new Map(groups.map(group => [causeOf(group), group]))
  for (const row of rows) {
    const cause = causeOf(row)
    const { reason, error, pointer, id, key, message, state } = row
    const had = byCause.get(cause)
    const isLatest = had === undefined || row.failed_at >= had.last_seen
    byCause.set(cause, {
      ...{ reason, error, pointer, count: (had?.count ?? 0) + 1 },
      states: { ...had?.states, [state]: (had?.states[state] ?? 0) + 1 },
      first_seen: had === undefined || row.first_failed_at < had.first_seen ? row.first_failed_at : had.first_seen,
      last_seen: isLatest ? row.failed_at : had.last_seen,
      sample: isLatest ? { id, key, message } : had.sample,
    })
  }
  return [...byCause.values()]
}

const causeOf = ({ reason, error, pointer }) => [reason, error, pointer].join('\n')
