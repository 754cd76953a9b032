import { describe } from 'vitest'
import { nextState } from '#src/inbox/letter-states.ts'
import { countsAfterResume } from '#src/inbox/redrive-guard.ts'
import { REDRIVE_LEASE_MS, type RedriveStore } from '#src/inbox/redrive-work.ts'
import { redriveWorkSuite } from '../../contract/redrive-work.suite.ts'
import { aRedriveWorld } from '../../support/memory-redrive-work.ts'
import { createVirtualProcess, createVirtualTime } from '../../support/simulation/virtual-time.ts'

describe('the stand-in of the tables that a redrive is worked on in', () => {
  redriveWorkSuite(async count => {
    const time = createVirtualTime()
    const world = aRedriveWorld(time, { count, rate: 2.5 })
    const { store } = world.portsOf(createVirtualProcess('worker', time))

    /** Lets time pass until there is an answer. */
    async function answered<R>(asked: Promise<R>): Promise<R> {
      let isSettled = false
      asked.catch(() => {}).finally(() => (isSettled = true))
      do await time.step()
      while (!isSettled)
      return await asked
    }
    const timed = new Proxy(store, {
      get: (target, name: keyof RedriveStore) => (asked: never, ids: never, more: never) =>
        answered<unknown>(target[name](asked, ids, more)),
    })
    return {
      id: world.id,
      store: timed,
      state: async () => world.state,
      items: async () => world.items.map(({ id, at, why }) => [id, at, ...(why === undefined ? [] : [why])].join(' ')),
      async settle(letter) {
        for (const item of world.items) if (item.id === letter) item.fate = 'not open'
      },
      async settleMember(letter, as) {
        for (const item of world.items) if (item.id === letter) item.at = as
      },
      async ask(step) {
        if (step === 'resume' && world.pausedBecause !== undefined) world.counts = countsAfterResume(world.counts)
        const next = nextState(world.state, step, true)
        if (next !== undefined) world.state = next
      },
      silence: () => answered(new Promise<void>(resolve => time.after(REDRIVE_LEASE_MS + 1, resolve))),
    }
  })
})
