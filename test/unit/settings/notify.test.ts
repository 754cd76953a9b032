import { describe, expect, it } from 'vitest'
import { loadConfig } from '#src/settings/config.ts'
import { describeConfig } from '#src/settings/describe.ts'

describe('NOTIFY_WEBHOOK_URL', () => {
  const NOTIFY_WEBHOOK_URL = 'https://hooks.example.com/services/T0/secret-part'

  it('is a secret as a whole: neither the settings nor a refusal show it', () => {
    const shown = describeConfig({ NOTIFY_WEBHOOK_URL }).find(({ name }) => name === 'NOTIFY_WEBHOOK_URL')
    expect(shown).toMatchObject({ value: '***', origin: 'environment' })
    expect(loadConfig({ NOTIFY_WEBHOOK_URL, NOTIFY_FORMAT: 'Slack' }).notify).toMatchObject({
      ...{ url: NOTIFY_WEBHOOK_URL, format: 'slack' },
    })
  })

  it.each([
    ['another scheme', 'file:///etc/secret-part'],
    ['a user', 'https://me:secret-part@hooks.example.com/'],
    ['no address', 'hooks.example.com/secret-part'],
  ])('is refused with %s', (_, url) => {
    let refusal = ''
    try {
      loadConfig({ NOTIFY_WEBHOOK_URL: url })
    } catch (error) {
      refusal = String(error)
    }
    expect(refusal).toContain('NOTIFY_WEBHOOK_URL is "***": it must be a URL with http or https and without a user')
    expect(refusal).not.toContain('secret-part')
  })
})
