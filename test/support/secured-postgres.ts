import { chownSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { EmbeddedPostgres } from '#tools/demo/servers/postgres.ts'
import { certificateFolder, makeAuthority } from './certificates.ts'
import { ownPostgres } from './own-servers.ts'
import { ask } from './standby.ts'

/** A PostgreSQL with TLS whose certificate is for `127.0.0.1` only. Goes with the test, and its files with it. */
export interface SecuredPostgres {
  readonly postgres: EmbeddedPostgres
  /** PEM files: the authority that signed the server, and another one that did not. */
  readonly ca: string
  readonly otherCa: string
  /** A certificate for the user of {@link EmbeddedPostgres.url}, with its key, PEM files. */
  readonly client: { readonly certificate: string; readonly key: string }
  /** The url of its database, with these in its query; `host` in place of 127.0.0.1. */
  url(query: Readonly<Record<string, string>>, host?: string): string
  /** From now on connections need a certificate of {@link client} and no password. */
  requireCertificates(): Promise<void>
}

export async function securedPostgres(): Promise<SecuredPostgres> {
  const folder = certificateFolder()
  onTestFinished(() => folder[Symbol.dispose]())
  const { file } = folder
  const authority = makeAuthority('Test authority')
  const other = makeAuthority('Another authority')
  const ca = file('ca.pem', authority.certificate)
  const otherCa = file('other-ca.pem', other.certificate)
  const postgres = await ownPostgres()
  const data = join(postgres.dir, 'data')
  const { uid, gid } = statSync(data)
  // The server refuses a key that others may read, and runs as another user than root.
  const ofServer = (name: string, text: string) => {
    writeFileSync(join(data, name), text, { mode: 0o600 })
    chownSync(join(data, name), uid, gid)
  }
  const issued = authority.issue('127.0.0.1')
  ofServer('server.crt', issued.certificate)
  ofServer('server.key', issued.key)
  ofServer('root.crt', authority.certificate)
  const settings = ['ssl = on', "ssl_ca_file = 'root.crt'"]
  for (const setting of settings) await ask(postgres.url, `ALTER SYSTEM SET ${setting}`)
  await ask(postgres.url, 'SELECT pg_reload_conf()')

  const { username } = new URL(postgres.url)
  const ofClient = authority.issue(username)
  return {
    postgres,
    ca,
    otherCa,
    client: { certificate: file('client.pem', ofClient.certificate), key: file('client.key', ofClient.key) },
    url(query, host) {
      const url = new URL(postgres.url)
      if (host !== undefined) url.hostname = host
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
      return url.href
    },
    async requireCertificates() {
      ofServer('pg_hba.conf', 'hostssl all all 127.0.0.1/32 cert\n')
      await ask(postgres.url, 'SELECT pg_reload_conf()')
    },
  }
}
