/** Runs in vitest's main process, once for each project that needs real servers; the projects share one stack. */
import type { TestProject } from 'vitest/node'
import { type EmbeddedStack, startStack } from '#tools/demo/servers/stack.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    kafkaBrokers: string
    databaseUrl: string
  }
}

/** Kept on globalThis, because each project loads this file again and would not share a variable of the module. */
interface Shared {
  stack?: Promise<EmbeddedStack> | undefined
  users: number
}
const holder = globalThis as { holdfastTestStack?: Shared }

/** `KAFKA_BROKERS` and `DATABASE_URL` name servers to test against instead. @returns vitest's teardown. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  holder.holdfastTestStack ??= { users: 0 }
  const shared = holder.holdfastTestStack
  shared.users++
  shared.stack ??= startStack({
    kafkaBrokers: process.env.KAFKA_BROKERS,
    databaseUrl: process.env.DATABASE_URL,
    log: line => console.error(line),
  })
  const stack = await shared.stack
  project.provide('kafkaBrokers', stack.kafkaBrokers)
  project.provide('databaseUrl', stack.databaseUrl)
  return async () => {
    if (--shared.users > 0) return
    shared.stack = undefined
    await stack.stop()
  }
}
