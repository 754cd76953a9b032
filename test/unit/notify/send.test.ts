import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testNotice } from '#src/notify/notice.ts'
import { createSend } from '#src/notify/send.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts'

let receiver: WebhookReceiver
beforeEach(async () => {
  receiver = await startWebhookReceiver()
})
afterEach(async () => {
  await receiver[Symbol.asyncDispose]()
})

const send = (timeoutMs = 10_000) =>
  createSend({ url: () => receiver.url, format: 'json', consoleUrl: () => 'https://console.test/', timeoutMs })(
    testNotice(0),
  )

describe('a message', () => {
  it('is posted as JSON, with a link to the console', async () => {
    await send()
    expect(receiver.taken.map(text => JSON.parse(text))).toMatchObject([
      { kind: 'test', link: 'https://console.test/admin' },
    ])
  })

  it.each([404, 429, 500])('that is answered with %d was not taken', async status => {
    receiver.reacts({ status })
    await expect(send()).rejects.toThrow(`it answered ${status}`)
  })

  it('goes nowhere else: a redirect is not followed', async () => {
    await using other = await startWebhookReceiver()
    receiver.reacts({ status: 307, headers: { Location: other.url } })
    await expect(send()).rejects.toThrow('it answered 307, a redirect, which is not followed')
    expect(other.asked).toEqual([])
  })

  it('to a receiver that says nothing is given up in time, and to one that is away at once', async () => {
    receiver.reacts('silence')
    await expect(send(200)).rejects.toThrow('no answer within 0.2 s')
    await receiver.away()
    await expect(send()).rejects.toThrow('ECONNREFUSED')
  })

  it('that failed does not name the address, which is a secret', async () => {
    await receiver.away()
    const error = await send().catch((error: unknown) => error)
    expect(error).toBeInstanceOf(Error)
    const { message, stack, cause } = error as Error
    expect(`${message} ${stack} ${String(cause)}`).not.toContain('secret-part')
  })
})
