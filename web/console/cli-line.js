/** The CLI command that does the same as a button, without the program's name, quoted for a POSIX shell. */

const PLAIN = /^[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*$/
/** Characters that a terminal would interpret when pasted, or that are invisible: control characters, turned or hidden text. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/**
 * Quotes one word. Invisible characters are written as their bytes in UTF-8, as `$'\033'`: POSIX 2024, and bash, zsh and ksh since long.
 * @param {string} word
 */
export function shellQuoted(word) {
  if (PLAIN.test(word)) return word
  if (word.search(UNSEEN) === -1) return `'${word.replaceAll("'", "'\\''")}'`
  const escaped = word.replace(/[\\'!]/g, octal).replace(UNSEEN, octal)
  return `$'${escaped}'`
}

/** @param {string} text */
function octal(text) {
  return [...new TextEncoder().encode(text)].map(byte => `\\${byte.toString(8).padStart(3, '0')}`).join('')
}

/**
 * @param {string} command as in `ls`
 * @param {string} [filter] one argument
 * @param {...(string | number | false | undefined)} flags what is absent is left out
 */
export function dlqLine(command, filter = '', ...flags) {
  const words = flags.filter(flag => flag !== undefined && flag !== false).map(flag => shellQuoted(String(flag)))
  const argument = filter === '' ? [] : [shellQuoted(filter)]
  return ['dlq', command, ...words, ...argument].join(' ')
}
