import { call, type KafkaConnection, type NativeGroups, nativeAdmin } from './client.ts'
import { describe, toStreamError } from './errors.ts'
import { ALLOWED } from './topic-rights.ts'

/** What this user finds of a consumer group. */
export interface GroupFacts {
  /** Consumers that are in it just now. */
  readonly members: number
  /** How they assign partitions, as `cooperative-sticky`; `undefined` without members. */
  readonly strategy: string | undefined
  /** May join it and commit. */
  readonly mayRead: boolean
}

const TIMEOUT_MS = 10_000
/** Coordinator loading, not available, not the coordinator. */
const COORDINATOR_IS_MOVING: ReadonlySet<number> = new Set([14, 15, 16])

/** @throws BrokerFatalError where this user may not even see the group; BrokerUnavailableError */
export async function groupFacts(connection: KafkaConnection, groupId: string): Promise<GroupFacts> {
  const admin = nativeAdmin(connection)
  const doing = `asking for the group ${groupId}`

  async function ask<R>(start: Parameters<typeof call<R>>[0]): Promise<R> {
    for (let tries = 1; ; tries++) {
      try {
        return await call<R>(start)
      } catch (error) {
        // A broker that has just started, or a coordinator that moves: it knows in a moment.
        if (!COORDINATOR_IS_MOVING.has(describe(error).code ?? 0) || tries >= 10) {
          throw toStreamError(error, doing, admin)
        }
        await new Promise<void>(resolve => setTimeout(resolve, 300))
      }
    }
  }

  try {
    // First a question whose errors are errors. A description that holds one (the coordinator is not there yet, no right on the
    // group) ends the process inside the native client, which reads a name that is not set.
    await ask(done => admin.listConsumerGroupOffsets([{ groupId }], { timeout: TIMEOUT_MS }, done))
    const { groups } = await ask<NativeGroups>(done =>
      admin.describeGroups([groupId], { includeAuthorizedOperations: true, timeout: TIMEOUT_MS }, done),
    )
    const [group] = groups
    if (group?.error) throw toStreamError(group.error, doing)
    const operations = group?.authorizedOperations ?? []
    const members = group?.members.length ?? 0
    return {
      members,
      strategy: members === 0 || group?.protocol === '' ? undefined : group?.protocol,
      mayRead: operations.includes(ALLOWED.read) || operations.includes(ALLOWED.all),
    }
  } finally {
    admin.disconnect()
  }
}
