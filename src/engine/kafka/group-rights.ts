import { type KafkaConnection, nativeAdmin } from './client.ts'
import { describe, toStreamError } from './errors.ts'
import { call, type NativeGroups } from './native.ts'
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
const CODE = { timedOut: -185, groupAuthorization: 30 } as const
/** Coordinator loading, not available, not the coordinator. */
const COORDINATOR_IS_MOVING: ReadonlySet<number> = new Set([14, 15, 16])

/**
 * Two calls of the native client end the process where the answer holds an error of the group: a description reads a name that is
 * not set, a list of offsets reads partitions that are not there. So the coordinator is first asked something whose errors are
 * errors; only when that comes to no end, the right on the group is looked at, which is refused before there is a coordinator.
 * @param askCoordinator for the group's offset of some partition, within so many ms
 * @throws BrokerFatalError where this user may not even see the group; BrokerUnavailableError
 */
export async function groupFacts(
  connection: KafkaConnection,
  groupId: string,
  askCoordinator: (timeoutMs: number) => Promise<unknown>,
): Promise<GroupFacts> {
  const admin = await nativeAdmin(connection)
  const doing = `asking for the group ${groupId}`
  try {
    await untilThereIsACoordinator(async () => {
      try {
        await askCoordinator(COORDINATOR_MS)
      } catch (error) {
        if (describe(error).code !== CODE.timedOut) throw error
        await call<readonly object[]>(done =>
          admin.listConsumerGroupOffsets([{ groupId }], { timeout: TIMEOUT_MS }, done),
        )
      }
    })
    const { groups } = await call<NativeGroups>(done =>
      admin.describeGroups([groupId], { includeAuthorizedOperations: true, timeout: TIMEOUT_MS }, done),
    )
    const [group] = groups
    if (group?.error) throw group.error
    const operations = group?.authorizedOperations ?? []
    const members = group?.members.length ?? 0
    return {
      members,
      strategy: members === 0 || group?.protocol === '' ? undefined : group?.protocol,
      mayRead: operations.includes(ALLOWED.read) || operations.includes(ALLOWED.all),
    }
  } catch (error) {
    throw toStreamError(error, doing, admin)
  } finally {
    admin.disconnect()
  }
}

/** A coordinator that is there answers sooner; without the right to see the group, there is no answer at all. */
const COORDINATOR_MS = 3_000

async function untilThereIsACoordinator(ask: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      const { code = 0 } = describe(error)
      const moves = COORDINATOR_IS_MOVING.has(code)
      // Any other answer comes from the coordinator: that the topic is unknown, for example.
      if (!moves && code > 0 && code !== CODE.groupAuthorization) return
      // A broker has just started, or the coordinator moves: the next request is likely to succeed.
      if (!moves || tries >= 10) throw error
      await new Promise<void>(resolve => setTimeout(resolve, 300))
    }
  }
}
