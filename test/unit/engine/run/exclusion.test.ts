import { expect, it } from 'vitest'
import { createExclusion } from '#src/engine/run/exclusion.ts'

it('lets many in together, or one alone, in the order in which they came', async () => {
  const exclusion = createExclusion()
  const inside: string[] = []
  async function enter(name: string, alone: boolean): Promise<() => void> {
    const leave = await exclusion.enter(alone)
    inside.push(name)
    return () => {
      inside.splice(inside.indexOf(name), 1)
      leave()
    }
  }
  const first = await enter('first', false)
  const second = await enter('second', false)
  const alone = enter('alone', true)
  const behind = enter('behind', false)

  // It waits until the others have left, and nothing that came later passes it
  first()
  await turn()
  expect(inside).toEqual(['second'])
  second()
  const leave = await alone
  await turn()
  expect(inside).toEqual(['alone'])

  // Nothing enters beside it
  leave()
  await behind
  expect(inside).toEqual(['behind'])
})

const turn = () => new Promise(resolve => setImmediate(resolve))
