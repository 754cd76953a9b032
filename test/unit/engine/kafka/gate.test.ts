import { expect, it } from 'vitest'
import { createGate } from '#src/engine/kafka/gate.ts'

it('lets work that wants to be alone be alone, however many want to', async () => {
  const gate = createGate()
  const running = new Set<string>()
  const seen: string[] = []
  const work = (name: string) => async () => {
    running.add(name)
    await new Promise(resolve => setImmediate(resolve))
    seen.push([...running].sort().join('+'))
    running.delete(name)
    return name
  }
  const all = [
    ...['a', 'b'].map(name => gate.together(work(name))),
    ...['X', 'Y', 'Z'].map(name => gate.alone(work(name))),
    ...['c', 'd'].map(name => gate.together(work(name))),
  ]
  expect(await Promise.all(all)).toEqual(['a', 'b', 'X', 'Y', 'Z', 'c', 'd'])
  expect(seen.filter(names => /[XYZ]/.test(names)).sort()).toEqual(['X', 'Y', 'Z'])
  expect(seen).toContain('a+b')
})

it('opens again after work that failed', async () => {
  const gate = createGate()
  await expect(gate.alone(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await expect(gate.together(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await gate.alone(async () => 1)).toBe(1)
})
