import type pg from 'pg'
import { describe, expect, it } from 'vitest'
import { readySession } from '#src/engine/postgres/session.ts'

/** A connection whose first questions the server cancels. */
function aClient(cancelled: number, code = '57014') {
  let asked = 0
  const client = {
    processID: 7,
    get asked() {
      return asked
    },
    async query() {
      asked += 1
      if (asked <= cancelled) throw Object.assign(new Error('canceling statement due to statement timeout'), { code })
      return { rows: [{ pooled: false }] }
    },
  }
  return client as typeof client & pg.ClientBase
}

const options = { statementTimeoutMs: 10_000, preparedStatements: true }

describe("a session under an administrator's limit of a millisecond", () => {
  it('is readied by asking again, because our own limits come with that very question', async () => {
    const client = aClient(3)
    await readySession(client, options)
    expect(client.asked).toBe(4)
  })

  it('is given up when it is cancelled each time', async () => {
    const client = aClient(100)
    await expect(readySession(client, options)).rejects.toThrow('statement timeout')
    expect(client.asked).toBe(10)
  })

  it('is not asked again after any other error', async () => {
    const client = aClient(1, '57P03')
    await expect(readySession(client, options)).rejects.toThrow()
    expect(client.asked).toBe(1)
  })
})
