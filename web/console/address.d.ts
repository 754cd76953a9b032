export interface Place {
  readonly view: 'groups' | 'list' | 'letter' | 'replays' | 'replay' | 'audit'
  readonly q?: string
  readonly sort?: string
  readonly id?: string | undefined
}
export const SORTS: readonly string[]
export function placeOfAddress(search: string): Required<Place>
export function addressOf(place: Place): string
