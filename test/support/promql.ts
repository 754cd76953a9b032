/** Words of PromQL that stand where a metric could. */
const KEYWORDS = new Set(
  'and or unless bool offset by without on ignoring group_left group_right inf nan start end'.split(' '),
)

/**
 * The names of the series that an expression asks for. Not a parser: it takes away, in this order, all that holds no
 * names of series (text, matchers, ranges, lists of labels, functions, variables of Grafana), and keeps the words that are left.
 */
export function metricsIn(promql: string): string[] {
  const bare = promql
    .replaceAll(/#[^\n]*/g, ' ')
    .replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, ' ')
    .replaceAll(/\{[^}]*\}/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/gi, ' ')
    .replaceAll(/\boffset\s+-?\w+/gi, ' ')
    .replaceAll(/\$\w+/g, ' ')
    .replaceAll(/\b[a-z_]\w*\s*\(/gi, '(')
    // Numbers, with their exponents and units.
    .replaceAll(/(?<![\w:])\d[\w.]*/g, ' ')
  const words = [...bare.matchAll(/[a-zA-Z_:][\w:]*/g)].map(([word]) => word)
  return [...new Set(words.filter(word => !KEYWORDS.has(word.toLowerCase())))]
}
