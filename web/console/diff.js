/** Beyond this many pairs of lines, what differs is shown as one block instead of line by line. */
const MAX_PAIRS = 1_000_000

/**
 * What changed between two texts, line by line, with `around` unchanged lines beside each change.
 * @param {string} before
 * @param {string} after
 * @returns {{ kind: '-' | '+' | ' ' | '…', text: string }[]} `…` stands for unchanged lines that are left out
 */
export function lineDiff(before, after, around = 2) {
  const old = before.split('\n')
  const now = after.split('\n')
  let head = 0
  while (head < old.length && head < now.length && old[head] === now[head]) head++
  let tail = 0
  while (tail < old.length - head && tail < now.length - head && old.at(-1 - tail) === now.at(-1 - tail)) tail++

  const same = lines => lines.map(text => ({ kind: ' ', text }))
  const all = [
    ...same(old.slice(0, head)),
    ...changes(old.slice(head, old.length - tail), now.slice(head, now.length - tail)),
    ...same(tail === 0 ? [] : old.slice(-tail)),
  ]
  return withoutFar(all, around)
}

/** The longest common subsequence of lines stays; other lines of the old text are removed, other lines of the new text are added. */
function changes(old, now) {
  const out = text => ({ kind: '-', text })
  const into = text => ({ kind: '+', text })
  if (old.length * now.length > MAX_PAIRS) return [...old.map(out), ...now.map(into)]
  const width = now.length + 1
  const common = new Uint32Array((old.length + 1) * width)
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      common[i * width + j] =
        old[i] === now[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1])
    }
  }
  const lines = []
  let i = 0
  let j = 0
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      lines.push({ kind: ' ', text: old[i] })
      i++
      j++
    } else if (j === now.length || (i < old.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      lines.push(out(old[i++]))
    } else lines.push(into(now[j++]))
  }
  return lines
}

function withoutFar(lines, around) {
  const changed = lines.flatMap(({ kind }, index) => (kind === ' ' ? [] : [index]))
  const near = new Set(changed.flatMap(index => Array.from({ length: around * 2 + 1 }, (_, by) => index - around + by)))
  const shown = []
  for (const [index, line] of lines.entries()) {
    if (near.has(index)) shown.push(line)
    else if (changed.length > 0 && shown.at(-1)?.kind !== '…') shown.push({ kind: '…', text: '' })
  }
  return shown
}
