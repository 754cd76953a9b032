import pg from 'pg'
import type { Stream } from './stream.ts'

export interface Role {
  readonly name: string
  readonly url: string
  /** `ALTER ROLE` with what is to change. Sessions that are open keep what they began with. */
  alter(what: string): Promise<void>
  /** Ends all of its sessions. */
  endSessions(): Promise<void>
}

/** A user who may use the tables of a stream, without a superuser's privilege of going beyond limits and rights. */
export async function aRole(stream: Stream): Promise<Role> {
  const url = new URL(stream.databaseUrl)
  const name = `limited_${url.pathname.slice(1)}`
  await stream.query(`CREATE ROLE ${name} LOGIN PASSWORD ${pg.escapeLiteral(name)}`)
  await stream.query(`GRANT USAGE ON SCHEMA holdfast TO ${name}`)
  await stream.query(`GRANT ALL ON ALL TABLES IN SCHEMA public, holdfast TO ${name}`)
  await stream.query(`GRANT ALL ON ALL SEQUENCES IN SCHEMA public, holdfast TO ${name}`)
  url.username = name
  url.password = name
  return {
    name,
    url: url.href,
    alter: async what => void (await stream.query(`ALTER ROLE ${name} ${what}`)),
    endSessions: async () =>
      void (await stream.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [name])),
  }
}
