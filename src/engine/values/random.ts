/** A stream of numbers that depends on its seeds alone. Not for secrets. */
export interface Random {
  /** In [0, 1), 32 bits of it. */
  next(): number
  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number
  pick<T>(choices: readonly T[]): T
  chance(probability: number): boolean
  /** Lower-case hexadecimal digits. */
  hex(length: number): string
}

/**
 * sfc32, the small fast counter of Chris Doty-Humphrey's PractRand: 128 bits of state, period at least 2^32, passes
 * PractRand; three 32-bit words seed it and the first twelve outputs are dropped, as its author does.
 * @param seeds three integers; their low 32 bits count
 */
export function createRandom(seeds: readonly [number, number, number]): Random {
  let [a, b, c] = seeds.map(seed => seed | 0) as [number, number, number]
  let counter = 1

  function bits(): number {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return sum >>> 0
  }
  for (let i = 0; i < 12; i++) bits()

  const next = () => bits() / 0x1_0000_0000
  return {
    next,
    between: (min, max) => min + Math.floor(next() * (max - min + 1)),
    pick<T>(choices: readonly T[]): T {
      if (choices.length === 0) throw new RangeError('nothing to pick from')
      return choices[Math.floor(next() * choices.length)] as T
    },
    chance: probability => next() < probability,
    hex(length) {
      let digits = ''
      while (digits.length < length) digits += hex32(bits())
      return digits.slice(0, length)
    },
  }
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Eight hexadecimal digits of a 32-bit number; from a table, because `toString(16)` took a quarter of a generator's time. */
export function hex32(word: number): string {
  return `${HEX[word >>> 24]}${HEX[(word >>> 16) & 255]}${HEX[(word >>> 8) & 255]}${HEX[word & 255]}`
}

/**
 * The finalizer of MurmurHash3: one-to-one on 32 bits, so that numbers which differ still differ afterwards, and look
 * unrelated.
 */
export function scramble(value: number): number {
  let mixed = value | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
