/**
 * Control characters (C0, DEL, C1), what turns the direction of text or has no width (U+202E, U+200B, tags …), line and
 * paragraph separators, and halves of a surrogate pair.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Colours and weights that our own words are painted with (`cli/output.ts`, `telemetry/logger.ts`), and their ends. */
const PAINT = new RegExp(`(${String.fromCharCode(0x1b)}\\[(?:0|1|2|22|[34][0-79]|9[0-7])m)`)

/**
 * Text of unknown origin, for a terminal: it must not control the terminal, nor look like a line of
 * ours. What cannot be seen is shown as `\u001b`, in UTF-16, so that JSON stays the same JSON.
 */
export function visible(text: string): string {
  return text.replace(UNSEEN, escaped)
}

/**
 * The same for lines that are about to be printed: their line ends stay, and so does our own paint where the terminal shows any.
 * The last net below all that is printed: what is not ours has been made visible when its line was put together.
 */
export function visibleLines(text: string, isPainted: boolean): string {
  const parts = isPainted ? text.split(PAINT) : [text]
  // Every second part is paint.
  return parts.map((part, index) => (index % 2 === 1 ? part : part.split('\n').map(visible).join('\n'))).join('')
}

function escaped(character: string): string {
  let text = ''
  for (let at = 0; at < character.length; at++) {
    text += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`
  }
  return text
}
