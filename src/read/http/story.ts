import type { LetterOfKey } from '../../engine/dead-letter-hint.ts'
import { dispositionOf } from '../../engine/errors.ts'
import type { StreamReading } from './stream-reading.ts'

/** What the tables know of a key besides its value, as `GET /view/story` and the page show it. It holds nothing of the value. */
export interface Story {
  readonly key: string
  /** Where the record stands whose value is stored; `null`: none is. */
  readonly stored: {
    readonly topic: string
    readonly partition: number
    readonly offset: string
    /** RFC 3339; `null`: the record has no time. */
    readonly record_time: string | null
    readonly stored_at: string
  } | null
  /** For operators only: records of this key that were set aside, latest failure first. */
  readonly dead_letters?: readonly (LetterOfKey & { readonly url: string })[]
}

export type StoryReading = Pick<StreamReading, 'stream' | 'positions' | 'deadLetters'>

/** @param isOnly this process serves one stream: then links to the console need not name it @throws StoreUnavailableError */
export async function storyOf(
  { stream, positions, deadLetters }: StoryReading,
  key: string,
  { isAdmin, isOnly }: { readonly isAdmin: boolean; readonly isOnly: boolean },
): Promise<Story> {
  const [found, letters] = await Promise.all([positions.of(key), isAdmin ? deadLetters.allOfKey(key) : undefined])
  const stored =
    found === undefined
      ? null
      : {
          topic: found.origin.topic,
          partition: found.origin.partition,
          offset: String(found.origin.offset),
          record_time: found.origin.timestampMs < 0 ? null : new Date(found.origin.timestampMs).toISOString(),
          stored_at: new Date(found.storedAtMs).toISOString(),
        }
  if (letters === undefined) return { key, stored }
  const name = isOnly ? undefined : stream.name
  return { key, stored, dead_letters: letters.map(letter => ({ ...letter, url: consoleUrl(letter.id, name) })) }
}

/** The same; `undefined` while the database cannot be reached: what is in memory is shown without it. */
export async function storyIfKnown(...given: Parameters<typeof storyOf>): Promise<Story | undefined> {
  try {
    return await storyOf(...given)
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return undefined
  }
}

/** Where the console shows a dead letter. @param stream `undefined`: the only one */
export function consoleUrl(id: string, stream: string | undefined): string {
  const ofStream = stream === undefined ? '' : `&stream=${encodeURIComponent(stream)}`
  return `/admin?letter=${encodeURIComponent(id)}${ofStream}`
}
