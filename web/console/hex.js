const PER_LINE = 16

/** @param {string} hex @returns {Uint8Array} */
export function bytesOf(hex) {
  return Uint8Array.from({ length: hex.length >> 1 }, (_, index) =>
    Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16),
  )
}

/**
 * Formats bytes as hexdump does: the offset, 16 bytes, and their printable ASCII characters.
 * @param {Uint8Array} bytes
 * @param {number} [limit] bytes at most
 */
export function hexDump(bytes, limit = bytes.length) {
  const lines = []
  for (let from = 0; from < Math.min(limit, bytes.length); from += PER_LINE) {
    const part = [...bytes.subarray(from, Math.min(from + PER_LINE, limit))]
    const hex = part.map(byte => byte.toString(16).padStart(2, '0'))
    const halves = `${hex.slice(0, 8).join(' ').padEnd(23)}  ${hex.slice(8).join(' ').padEnd(23)}`
    const ascii = part.map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${from.toString(16).padStart(8, '0')}  ${halves}  ${ascii}`)
  }
  return lines.join('\n')
}
