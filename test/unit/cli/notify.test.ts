import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { notifyFindings } from '#src/cli/doctor-notify.ts'
import { loadConfig } from '#src/settings/config.ts'
import { COMPILED } from '../../support/service.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts'

let receiver: WebhookReceiver
beforeEach(async () => {
  receiver = await startWebhookReceiver()
})
afterEach(async () => {
  await receiver[Symbol.asyncDispose]()
})

async function notify(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const child = spawn(process.execPath, ['src/cli/main.ts', 'notify', ...args], {
    env: { PATH: process.env.PATH, NO_COLOR: '1', ...COMPILED, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once('close', resolve)
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), promise])
  return { code, stdout, stderr }
}

describe('holdfast notify', () => {
  it('sends a test message, with the link that messages have', async () => {
    const env = { NOTIFY_WEBHOOK_URL: receiver.url, CONSOLE_URL: 'https://holdfast.example.com' }
    expect(await notify(env, '--test', '--json')).toMatchObject({ code: 0, stdout: '{"sent":true,"format":"json"}\n' })
    expect(receiver.taken.map(body => JSON.parse(body))).toMatchObject([
      { kind: 'test', link: 'https://holdfast.example.com/admin' },
    ])
  })

  it('says why a message was not taken, without the address', async () => {
    receiver.reacts({ status: 404 })
    const { code, stderr } = await notify({ NOTIFY_WEBHOOK_URL: receiver.url }, '--test')
    expect([code, stderr]).toEqual([1, expect.stringContaining('did not take the message: it answered 404')])
    expect(stderr).not.toContain('secret-part')
  })

  it('is a mistake without a receiver, and without --test', async () => {
    expect(await notify({}, '--test')).toMatchObject({ code: 2, stderr: expect.stringContaining('NOTIFY_WEBHOOK_URL') })
    expect(await notify({ NOTIFY_WEBHOOK_URL: receiver.url })).toMatchObject({ code: 2 })
    expect(receiver.asked).toEqual([])
  })
})

describe('doctor', () => {
  const findings = (env: Readonly<Record<string, string>>) => Array.fromAsync(notifyFindings(loadConfig(env)))

  it('says whether the receiver of messages is reached, and sends nothing', async () => {
    const [found] = await findings({ NOTIFY_WEBHOOK_URL: receiver.url })
    expect(found).toMatchObject({
      name: 'notify',
      ok: true,
      detail: expect.stringMatching(/is reached.*nothing was sent/),
    })
    expect(receiver.asked).toEqual([])
    await receiver.away()
    const [away] = await findings({ NOTIFY_WEBHOOK_URL: receiver.url })
    expect(away).toMatchObject({ ok: false, detail: expect.stringContaining('ECONNREFUSED') })
    expect(JSON.stringify(away)).not.toContain('secret-part')
  })

  it('takes a port that does not speak TLS for no https receiver', async () => {
    const [found] = await findings({ NOTIFY_WEBHOOK_URL: receiver.url.replace('http:', 'https:') })
    expect(found).toMatchObject({ ok: false })
  })

  it('has nothing to say where nobody is told', async () => {
    expect(await findings({})).toEqual([])
  })
})
