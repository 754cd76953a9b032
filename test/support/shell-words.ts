/**
 * The simple commands of a shell script, each as its words: enough of the shell's grammar to look at commands of documents. Quotes are
 * taken off; redirections and comments are left out; commands within `$(…)` are listed as well. A here-document is not understood.
 */
export function shellCommands(script: string): string[][] {
  const commands: string[][] = []
  let words: string[] = []
  let word: string | undefined
  /** The next word is the target of a redirection. */
  let redirected = false
  const endWord = () => {
    if (word !== undefined && !redirected) words.push(word)
    if (word !== undefined) redirected = false
    word = undefined
  }
  const endCommand = () => {
    endWord()
    if (words.length > 0) commands.push(words)
    words = []
  }
  for (let i = 0; i < script.length; i++) {
    const char = script[i] ?? ''
    if (char === '\\') {
      i += 1
      if (script[i] !== '\n') word = (word ?? '') + (script[i] ?? '')
    } else if (char === "'") {
      const end = script.indexOf("'", i + 1)
      word = (word ?? '') + script.slice(i + 1, end)
      i = end
    } else if (char === '"') {
      const end = closingQuote(script, i)
      const text = script.slice(i + 1, end)
      commands.push(...substitutions(text))
      word = (word ?? '') + text.replaceAll('\\"', '"')
      i = end
    } else if (script.startsWith('$(', i)) {
      const end = closingParenthesis(script, i + 1)
      commands.push(...shellCommands(script.slice(i + 2, end)))
      word = (word ?? '') + script.slice(i, end + 1)
      i = end
    } else if (char === '#' && word === undefined) {
      const end = script.indexOf('\n', i)
      i = (end === -1 ? script.length : end) - 1
    } else if (char === '>' || char === '<') {
      // `2>` names a descriptor and no word.
      if (word !== undefined && /^\d$/.test(word)) word = undefined
      endWord()
      if (script[i + 1] === char) i += 1
      if (script[i + 1] === '&') {
        i += 2
        continue
      }
      redirected = true
    } else if ('\n;|&()'.includes(char)) endCommand()
    else if (/\s/.test(char)) endWord()
    else word = (word ?? '') + char
  }
  endCommand()
  return commands
}

function substitutions(text: string): string[][] {
  const commands: string[][] = []
  for (let at = text.indexOf('$('); at !== -1; at = text.indexOf('$(', at + 1)) {
    commands.push(...shellCommands(text.slice(at + 2, closingParenthesis(text, at + 1))))
  }
  return commands
}

/** Where the double quote that opens at `from` closes: quotes within `$(…)` are others. */
function closingQuote(script: string, from: number): number {
  for (let i = from + 1; i < script.length; i++) {
    if (script[i] === '\\') i += 1
    else if (script.startsWith('$(', i)) i = closingParenthesis(script, i + 1)
    else if (script[i] === '"') return i
  }
  throw new Error(`a quote that is not closed: ${script.slice(from, from + 40)}`)
}

function closingParenthesis(script: string, from: number): number {
  let depth = 0
  for (let i = from; i < script.length; i++) {
    if (script[i] === "'") i = script.indexOf("'", i + 1)
    else if (script[i] === '(') depth += 1
    else if (script[i] === ')') {
      depth -= 1
      if (depth === 0) return i
    }
  }
  throw new Error(`a parenthesis that is not closed: ${script.slice(from, from + 40)}`)
}
