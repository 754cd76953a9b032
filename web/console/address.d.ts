export interface Place {
  readonly view: 'groups' | 'list' | 'letter' | 'replays' | 'replay' | 'audit'
  readonly q?: string
  readonly sort?: string
  readonly id?: string | undefined
  readonly stream?: string | undefined
}
export const SORTS: readonly string[]
export function placeOfAddress(search: string): Required<Omit<Place, 'stream'>>
export function addressOf(place: Place): string
