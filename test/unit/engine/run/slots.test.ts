import { expect, it } from 'vitest'
import { createSlots } from '#src/engine/run/slots.ts'

it('are as many as there are, and go to those who wait in the order in which they came', async () => {
  const slots = createSlots(1)
  const taken: string[] = []
  const first = await slots.take()
  const second = slots.take().then(giveBack => {
    taken.push('second')
    return giveBack
  })
  const third = slots.take().then(giveBack => {
    taken.push('third')
    return giveBack
  })

  // When the one slot is given back twice
  first()
  first()
  const giveBack = await second
  await turn()

  // Then it is one slot all the same
  expect(taken).toEqual(['second'])
  giveBack()
  await third
  expect(taken).toEqual(['second', 'third'])
})

it('are no more than before when one was handed on to another that waited', async () => {
  const slots = createSlots(1)
  const first = await slots.take()
  const waits = slots.take()
  first()
  await waits

  let isTaken = false
  void slots.take().then(() => {
    isTaken = true
  })
  await turn()
  expect(isTaken).toBe(false)
})

const turn = () => new Promise(resolve => setImmediate(resolve))
