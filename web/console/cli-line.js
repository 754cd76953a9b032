/** The same on the command line, ready to be pasted into a POSIX shell. */

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/

/** @param {string} word */
export function shellQuoted(word) {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/**
 * @param {string} command as in `ls`
 * @param {string} [filter] one argument
 * @param {...(string | number | false | undefined)} flags what is absent is left out
 */
export function dlqLine(command, filter = '', ...flags) {
  const words = flags.filter(flag => flag !== undefined && flag !== false).map(flag => shellQuoted(String(flag)))
  const argument = filter === '' ? [] : [shellQuoted(filter)]
  return ['bin/holdfast dlq', command, ...words, ...argument].join(' ')
}
