import { describe, expect, it } from 'vitest'
import { createLifecycle, type LifecycleState, runningLifecycle, StoppedError } from '#src/engine/lifecycle.ts'

const PARTS = ['pool', 'client', 'server'] as const
/** Each part opens in two steps, before and after which something may happen; so does each close, and the drain. */
const POINTS = PARTS.flatMap(part => [`${part} opens`, `${part} is open`])

interface World {
  /** What is open, in the order of opening. */
  readonly open: string[]
  readonly log: string[]
  readonly states: LifecycleState[]
}

/** A part with three parts of its own. `at` is called at each point of its start, of its drain and of its stop. */
function arrange(at: (point: string) => void) {
  const world: World = { open: [], log: [], states: [] }
  const lifecycle = createLifecycle({
    async start(parts) {
      for (const part of PARTS) {
        point(`${part} opens`)
        await Promise.resolve()
        world.open.push(part)
        parts.defer(async () => {
          point(`${part} closes`)
          await Promise.resolve()
          expect(world.open.pop()).toBe(part)
        })
        point(`${part} is open`)
        await Promise.resolve()
      }
    },
    async drain() {
      point('drains')
      await Promise.resolve()
      expect(world.open).toEqual([...PARTS])
    },
  })
  function point(name: string) {
    world.log.push(name)
    world.states.push(lifecycle.state)
    at(name)
  }
  return { world, lifecycle }
}

const RANK: Record<LifecycleState, number> = { idle: 0, running: 1, draining: 2, stopped: 3 }

function expectNothingLeft({ open, states }: World, { state }: { state: LifecycleState }) {
  expect(open).toEqual([])
  expect(state).toBe('stopped')
  expect(states.map(state => RANK[state])).toEqual(states.map(state => RANK[state]).sort())
}

const outcome = (promise: Promise<void>) =>
  promise.then(
    () => 'well',
    (error: Error) => error.message,
  )

describe('a part that starts and stops', () => {
  it('opens in order, drains once, and closes in reverse order', async () => {
    const { world, lifecycle } = arrange(() => {})

    await lifecycle.start()
    expect(lifecycle.state).toBe('running')
    await Promise.all([lifecycle.stop(), lifecycle.stop()])
    await lifecycle.stop()

    expect(world.log).toEqual([...POINTS, 'drains', 'server closes', 'client closes', 'pool closes'])
    expectNothingLeft(world, lifecycle)
  })

  it('starts once, however often it is asked', async () => {
    const { world, lifecycle } = arrange(() => {})

    await Promise.all([lifecycle.start(), lifecycle.start()])
    await lifecycle.start()

    expect(world.log).toEqual(POINTS)
    await lifecycle.stop()
  })

  it('opens nothing when it was stopped before, and says so', async () => {
    const { world, lifecycle } = arrange(() => {})

    await lifecycle.stop()

    await expect(lifecycle.start()).rejects.toThrow(StoppedError)
    expect(world.log).toEqual([])
    expectNothingLeft(world, lifecycle)
  })

  it('does not start again', async () => {
    const { world, lifecycle } = arrange(() => {})
    await lifecycle.start()
    await lifecycle.stop()

    await expect(lifecycle.start()).rejects.toThrow(StoppedError)
    expectNothingLeft(world, lifecycle)
  })

  it('tells its own work to stop at once, and waits for it', async () => {
    let ended = false
    const lifecycle = createLifecycle({
      start(parts, stopping) {
        const work = new Promise<void>(resolve => stopping.addEventListener('abort', () => resolve()))
        parts.defer(async () => {
          await work
          ended = true
        })
      },
    })
    await lifecycle.start()

    const stopped = lifecycle.stop()
    expect(lifecycle.stopping.aborted).toBe(true)
    await stopped

    expect(ended).toBe(true)
  })
})

describe.each(POINTS)('when %s', point => {
  it('a failure leaves nothing open, and is what the start throws', async () => {
    const { world, lifecycle } = arrange(at => {
      if (at === point) throw new Error('planted')
    })

    await expect(lifecycle.start()).rejects.toThrow('planted')

    expectNothingLeft(world, lifecycle)
    expect(world.log).not.toContain('drains')
    expect(await outcome(lifecycle.stop())).toBe('well')
    await expect(lifecycle.start()).rejects.toThrow(StoppedError)
  })

  it('a stop waits for the start and leaves nothing open', async () => {
    let stopped: Promise<string> | undefined
    const { world, lifecycle } = arrange(at => {
      if (at === point) stopped = outcome(lifecycle.stop())
    })

    await expect(lifecycle.start()).rejects.toThrow(StoppedError)

    expect(await stopped).toBe('well')
    expect(world.log).toContain('drains')
    expectNothingLeft(world, lifecycle)
  })

  it('a stop with a failure leaves nothing open', async () => {
    let stopped: Promise<string> | undefined
    const { world, lifecycle } = arrange(at => {
      if (at !== point) return
      stopped = outcome(lifecycle.stop())
      throw new Error('planted')
    })

    await expect(lifecycle.start()).rejects.toThrow('planted')

    expect(await stopped).toBe('well')
    expectNothingLeft(world, lifecycle)
  })
})

describe.each(['drains', 'server closes', 'client closes', 'pool closes'])('when it %s', point => {
  it('a failure keeps nothing else open, and each stop reports it', async () => {
    const closed: string[] = []
    const { lifecycle } = arrange(at => {
      if (at.endsWith('closes')) closed.push(at)
      if (at === point) throw new Error('planted')
    })
    await lifecycle.start()

    const outcomes = await Promise.all([outcome(lifecycle.stop()), outcome(lifecycle.stop())])

    expect(outcomes[0]).not.toBe('well')
    expect(outcomes[1]).toBe(outcomes[0])
    expect(closed).toEqual(['server closes', 'client closes', 'pool closes'])
    expect(lifecycle.state).toBe('stopped')
  })

  it('another stop waits for the first', async () => {
    let second: Promise<string> | undefined
    const { world, lifecycle } = arrange(at => {
      if (at === point) second = outcome(lifecycle.stop().then(() => expectNothingLeft(world, lifecycle)))
    })
    await lifecycle.start()

    await lifecycle.stop()

    expect(await second).toBe('well')
  })
})

describe('a thousand parts that are started, stopped and failed at chance', () => {
  it('leave nothing open', async () => {
    let seed = 1
    const chance = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    for (let round = 0; round < 1_000; round++) {
      const waits: Promise<unknown>[] = []
      const { world, lifecycle } = arrange(at => {
        if (chance() < 0.15) waits.push(outcome(lifecycle.stop()))
        if (chance() < 0.15) waits.push(outcome(lifecycle.start()))
        if (chance() < 0.1 && !at.endsWith('closes') && at !== 'drains') throw new Error('planted')
      })
      const calls = Array.from({ length: 4 }, () => (chance() < 0.5 ? lifecycle.start : lifecycle.stop))
      for (const call of calls) {
        waits.push(outcome(call()))
        if (chance() < 0.5) await Promise.resolve()
      }
      await lifecycle.stop()
      await Promise.all(waits)
      expectNothingLeft(world, lifecycle)
    }
  })
})

describe('a part that is at work when it is built', () => {
  it('drains once', async () => {
    let drains = 0
    const lifecycle = runningLifecycle(() => void drains++)
    expect(lifecycle.state).toBe('running')

    await Promise.all([lifecycle.stop(), lifecycle.stop()])

    expect(drains).toBe(1)
    expect(lifecycle.state).toBe('stopped')
  })
})
