/** A count as people read it, in messages, tables and notes: with commas between thousands, whatever the locale. Offsets, which are typed again, stay as they are. */
export function grouped(count: number | bigint | string): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}
