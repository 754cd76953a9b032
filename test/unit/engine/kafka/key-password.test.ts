import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { checkProperties } from '#src/engine/kafka/connect.ts'
import { loadConfig } from '#src/settings/config.ts'
import { makeAuthority } from '../../../support/certificates.ts'

it('an encrypted key of a client is opened by its password, and by no other one', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'key-password-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const { certificate, key } = makeAuthority('Test authority').issue('client')
  const encrypted = createPrivateKey(key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'open',
  })
  const file = (name: string, text: string | Buffer) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const env = {
    KAFKA_SECURITY_PROTOCOL: 'ssl',
    KAFKA_SSL_CERTIFICATE_LOCATION: file('client.pem', certificate),
    KAFKA_SSL_KEY_LOCATION: file('client.key', encrypted),
  }
  const right = loadConfig({ ...env, KAFKA_SSL_KEY_PASSWORD_FILE: file('right', 'open\n') })
  await expect(checkProperties(right.kafka)).resolves.toBeUndefined()
  const wrong = loadConfig({ ...env, KAFKA_SSL_KEY_PASSWORD: 'guessed' })
  await expect(checkProperties(wrong.kafka)).rejects.toThrow(/^KAFKA_SSL_KEY_LOCATION cannot be used/)
})
