/** Certificates made on the spot: Node can sign, but writes none, and a fresh machine need not have openssl. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Authority {
  /** Its certificate, PEM: what a client must trust. */
  readonly certificate: string
  /** @returns certificate and PKCS #8 key, PEM, valid from yesterday until `validUntil` (default: tomorrow) */
  issue(host: string, validUntil?: Date): { readonly certificate: string; readonly key: string }
}

/** A folder for keys and certificates, which goes with the test. */
export interface CertificateFolder extends Disposable {
  /** Writes a file that nobody else may read. @returns its path */
  file(name: string, text: string): string
}

export function certificateFolder(): CertificateFolder {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-certificates-'))
  return {
    file(name, text) {
      writeFileSync(join(dir, name), text, { mode: 0o600 })
      return join(dir, name)
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  }
}

const DAY_MS = 86_400_000

export function makeAuthority(name: string): Authority {
  const own = newKeys()
  const certificate = toCertificate({
    subject: name,
    issuer: name,
    key: own.publicKey,
    signer: own.privateKey,
    ca: true,
  })
  return {
    certificate,
    issue(host, validUntil) {
      const { publicKey, privateKey } = newKeys()
      return {
        certificate: toCertificate({
          subject: host,
          issuer: name,
          key: publicKey,
          signer: own.privateKey,
          host,
          validUntil,
        }),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
  }
}

function newKeys() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

interface Plan {
  readonly subject: string
  readonly issuer: string
  readonly key: KeyObject
  readonly signer: KeyObject
  readonly ca?: boolean
  readonly host?: string
  readonly validUntil?: Date | undefined
}

/** RFC 5280, section 4.1, in DER. */
function toCertificate({ subject, issuer, key, signer, ca, host, validUntil }: Plan): string {
  const algorithm = sequence(oid('2a8648ce3d040302')) // ecdsa-with-SHA256
  const until = validUntil ?? new Date(Date.now() + DAY_MS)
  const extensions = [
    ...(ca ? [extension('551d13', sequence(der(0x01, Buffer.from([0xff]))))] : []), // basicConstraints
    ...(host === undefined ? [] : [extension('551d11', sequence(alternativeName(host)))]), // subjectAltName
  ]
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), // serial number
    algorithm,
    nameOf(issuer),
    sequence(time(new Date(until.getTime() - 2 * DAY_MS)), time(until)),
    nameOf(subject),
    key.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', body, signer)
  const whole = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function nameOf(commonName: string): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(commonName)))))
}

function alternativeName(host: string): Buffer {
  return isIPv4(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host))
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), der(0x04, value))
}

function time(at: Date): Buffer {
  return der(0x18, Buffer.from(`${at.toISOString().replace(/[-:T]|\.\d+/g, '')}`))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'))
}

function der(tag: number, content: Buffer): Buffer {
  const length: number[] = []
  for (let left = content.length; left > 0; left >>= 8) length.unshift(left & 0xff)
  const head = content.length < 0x80 ? [content.length] : [0x80 | length.length, ...length]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}
