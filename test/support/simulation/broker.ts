import type { CommitResult, Progress, SourceEvent } from '#src/engine/ports.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import type { Producer } from './workload.ts'
import { TOPIC, type World } from './world.ts'

/** A member of the group, as the broker sees it. */
export interface Member {
  readonly name: string
  /** Rebalances that it is to answer, in order. */
  readonly inbox: SourceEvent[]
  joined: boolean
  /** Counts its memberships: a request of an earlier one is refused. */
  generation: number
}

interface Log {
  readonly partition: number
  /** Everything that was ever appended, also what retention has removed. */
  readonly records: SourceRecord[]
  low: bigint
  end: bigint
  committed: bigint | undefined
  owner: Member | undefined
  target: Member | undefined
  /** The owner has been asked to give it back. */
  revoking: boolean
}

/** The topic and the group's coordinator in one: cooperative rebalances, expulsions, commits. */
export interface Broker {
  readonly logs: readonly Log[]
  /** @returns the log of a partition. @throws RangeError when there is none */
  log(partition: number): Log
  append(partition: number, records: number): void
  /** Offsets that hold no record, as a transaction's marker. */
  skip(partition: number): void
  /** Removes everything below. */
  retain(partition: number, low: bigint): void
  join(member: Member): void
  leave(member: Member): void
  /** Ends its session: its partitions go to other members, and it is notified at its next request. */
  expel(member: Member): void
  /** Gives the partitions to other members, at random. */
  rebalance(): void
  /** The member gave these back. */
  released(member: Member, partitions: readonly number[]): void
  /** @param generation of the member when it sent the request */
  commit(member: Member, generation: number, positions: readonly Progress[]): CommitResult
}

/** Longer than a drain and its commit may take. */
const REBALANCE_TIMEOUT_MS = 25_000
const ILLEGAL_GENERATION = 22

export function createBroker(
  world: World,
  {
    partitions,
    producer,
    progressOf,
  }: {
    readonly partitions: number
    readonly producer: Producer
    readonly progressOf: (partition: number) => bigint | undefined
  },
): Broker {
  const { random, time } = world
  const members = new Set<Member>()
  const logs = Array.from({ length: partitions }, (_, partition): Log => {
    const nobody = { committed: undefined, owner: undefined, target: undefined, revoking: false }
    return { partition, records: [], low: 0n, end: 0n, ...nobody }
  })

  function log(partition: number): Log {
    const found = logs[partition]
    if (found === undefined) throw new RangeError(`there is no partition ${partition}`)
    return found
  }

  const ownedBy = (member: Member) => logs.filter(({ owner }) => owner === member)
  const places = (some: readonly Log[]) => some.map(({ partition }) => ({ topic: TOPIC, partition }))

  /** Hands over what is free, and asks back what belongs to another one. */
  function distribute(): void {
    const given = new Map<Member, Log[]>()
    const asked = new Map<Member, Log[]>()
    for (const each of logs) {
      const { owner, target } = each
      if (owner === undefined && target !== undefined) {
        each.owner = target
        given.set(target, [...(given.get(target) ?? []), each])
      } else if (owner !== undefined && owner !== target && !each.revoking) {
        each.revoking = true
        asked.set(owner, [...(asked.get(owner) ?? []), each])
        time.after(REBALANCE_TIMEOUT_MS, () => {
          if (each.owner === owner && each.revoking) broker.expel(owner)
        })
      }
    }
    for (const [member, some] of asked) tell(member, { kind: 'revoked', partitions: places(some), lost: false })
    for (const [member, some] of given) tell(member, { kind: 'assigned', partitions: places(some) })
  }

  function tell(member: Member, event: Exclude<SourceEvent, { kind: 'fetch_failed' }>): void {
    const lost = event.kind === 'revoked' && event.lost ? ' (lost)' : ''
    world.tell(() => `broker: ${member.name} ${event.kind}${lost} ${event.partitions.map(p => p.partition)}`)
    member.inbox.push(event)
  }

  function free(some: readonly Log[]): void {
    for (const each of some) {
      each.owner = undefined
      each.revoking = false
    }
  }

  const broker: Broker = {
    logs,
    log,
    append(partition, records) {
      const at = log(partition)
      for (let i = 0; i < records; i++) {
        at.records.push(producer.next({ partition, offset: at.end }))
        at.end += 1n
      }
      world.tell(() => `producer: ${partition} up to ${at.end}`)
    },
    skip(partition) {
      log(partition).end += 1n
    },
    retain(partition, low) {
      const at = log(partition)
      world.tell(() => `broker: retention moves the start of ${partition} from ${at.low} to ${low}`)
      if (low > at.low) at.low = low
    },
    join(member) {
      member.joined = true
      member.generation += 1
      members.add(member)
      world.tell(() => `broker: ${member.name} joins`)
      broker.rebalance()
    },
    leave(member) {
      if (!members.delete(member)) return
      member.joined = false
      world.tell(() => `broker: ${member.name} leaves`)
      free(ownedBy(member))
      broker.rebalance()
    },
    expel(member) {
      if (!members.delete(member)) return
      member.joined = false
      const lost = ownedBy(member)
      world.tell(() => `broker: ${member.name} is expelled`)
      // What it is already asked for, it will hear of (too late); of the rest, that it is lost.
      const untold = lost.filter(({ revoking }) => !revoking)
      tell(member, { kind: 'revoked', partitions: places(untold), lost: true })
      free(lost)
      broker.rebalance()
    },
    rebalance() {
      const candidates = [...members]
      for (const each of logs) each.target = candidates.length === 0 ? undefined : random.pick(candidates)
      distribute()
    },
    released(member, given) {
      // It joins again without them: what it sent before that is refused, as a request of an earlier generation.
      member.generation += 1
      free(given.map(log).filter(({ owner }) => owner === member))
      distribute()
    },
    commit(member, generation, positions) {
      if (!member.joined || member.generation !== generation) {
        return { ok: false, code: ILLEGAL_GENERATION, message: 'illegal generation' }
      }
      for (const { partition, nextOffset } of positions) {
        const at = log(partition)
        const progress = progressOf(partition)
        if (at.owner !== member) world.violated(`${member.name} committed ${partition}, which is not its own`)
        if (progress === undefined || nextOffset > progress) {
          world.violated(`${partition} is committed at ${nextOffset}, ahead of its progress ${progress}`)
        }
        if (nextOffset < (at.committed ?? 0n)) {
          world.violated(`${partition} is committed at ${nextOffset}, back from ${at.committed}`)
        }
        at.committed = nextOffset
      }
      world.tell(() => `broker: ${member.name} commits ${positions.map(p => `${p.partition}@${p.nextOffset}`)}`)
      return { ok: true }
    },
  }
  return broker
}
