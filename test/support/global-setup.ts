/** Runs in vitest's main process, once for each project that needs real servers; the projects share one stack. */
import type { TestProject } from 'vitest/node'
import { type EmbeddedStack, startStack } from '#tools/demo/servers/stack.ts'
import { createTemplate, type TemplateDatabase } from './template-database.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    kafkaBrokers: string
    databaseUrl: string
    /** The database with all migrations, for `CREATE DATABASE … TEMPLATE`. */
    migratedTemplate: string
  }
}

/** Kept on globalThis, because each project loads this file again and would not share a variable of the module. */
interface Shared {
  servers?: Promise<Servers> | undefined
  users: number
}

interface Servers extends AsyncDisposable {
  readonly stack: EmbeddedStack
  readonly template: TemplateDatabase
}
const holder = globalThis as { holdfastTestStack?: Shared }

/** `KAFKA_BROKERS` and `DATABASE_URL` name servers to test against instead. @returns vitest's teardown. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  holder.holdfastTestStack ??= { users: 0 }
  const shared = holder.holdfastTestStack
  shared.users++
  shared.servers ??= startServers()
  const servers = await shared.servers
  project.provide('kafkaBrokers', servers.stack.kafkaBrokers)
  project.provide('databaseUrl', servers.stack.databaseUrl)
  project.provide('migratedTemplate', servers.template.name)
  return async () => {
    if (--shared.users > 0) return
    shared.servers = undefined
    await servers[Symbol.asyncDispose]()
  }
}

async function startServers(): Promise<Servers> {
  await using parts = new AsyncDisposableStack()
  const stack = parts.use(
    await startStack({
      kafkaBrokers: process.env.KAFKA_BROKERS,
      databaseUrl: process.env.DATABASE_URL,
      log: line => console.error(line),
    }),
  )
  const template = parts.use(await createTemplate(stack.databaseUrl))
  const owned = parts.move()
  return { stack, template, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
