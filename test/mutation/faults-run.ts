import { faultsOf, type Mutation, unit } from './mutation.ts'

const PIPELINE = unit('engine/run/pipeline', 'simulation/pipeline')
const GUARDS = unit('engine/run/guards', 'simulation/pipeline')

const REQUESTS = unit('engine/run/operator-requests')
const FILLING = unit('engine/batch', 'engine/run/receive')

/** The write path of a partition, and the loop around it. */
export const RUN_FAULTS: readonly Mutation[] = [
  ...faultsOf('engine/batch', FILLING, [
    [
      'a batch is closed although the log holds more for it',
      '  if (waiting.inSight < maxRecords * WORTH_WAITING) return lingeredMs\n',
      '  if (waiting.inSight >= 0) return lingeredMs\n',
    ],
    [
      'a record alone waits for what an open transaction hides',
      'waiting.isMoreFetched ? filledMs : Math.min(filledMs, waiting.lastMs + FETCH_MS)',
      'filledMs',
    ],
  ]),
  ...faultsOf('engine/run/partition', REQUESTS, [
    ['a partition that an operator holds goes on taking batches', ' || this.manualPause !== undefined', ''],
  ]),
  ...faultsOf('engine/run/assignments', REQUESTS, [
    [
      'a partition that an operator holds flows with whoever gets it next',
      'manualPause: pauseOf(pauses, position.partition)',
      'manualPause: undefined',
    ],
    ['a request to move a partition is forgotten', '    for (const owner of due) await carryOutMove(owner)\n', ''],
  ]),
  ...faultsOf('engine/watch/rules', REQUESTS, [
    [
      'a pause of an operator counts as a stall, and asks for a restart',
      '  if (owner.manualPause !== undefined && owner.inFlightRecords === 0) return false\n',
      '',
    ],
  ]),
  ...faultsOf('engine/run/receive', FILLING, [
    [
      'a batch goes on waiting for records that the client does not hold',
      'if (run !== undefined && !isMore && partition.bufferedRecords > 0) woken.add(run)\n',
      '\n',
    ],
    ['full buffers wait for batches that cannot become full', '        partition.stopFilling()\n', ''],
  ]),
  ...faultsOf('engine/run/commit', unit('engine/run/commit'), [
    [
      'what is settled is committed between polls only',
      '[...earlier, batch] })\n      sendNext()\n',
      '[...earlier, batch] })\n',
    ],
  ]),
  ...faultsOf('engine/run/run', PIPELINE, [
    [
      'the offset is committed before the transaction',
      "    const written = await timed(hand, 'write', () => steps.write({ ready, letters }, hand))\n",
      '    committer.offer({ ...place, nextOffset: hand.batch.to })\n' +
        "    const written = await timed(hand, 'write', () => steps.write({ ready, letters }, hand))\n",
    ],
    ['a batch does not wait for the one before it', '    await before\n    writes()\n', '    writes()\n'],
    [
      'a partition that is no longer ours is committed',
      '    if (owner.abandoned.aborted) return\n    const { to, records } = settled\n',
      '    const { to, records } = settled\n',
    ],
    [
      'a dead letter counts as sent before its topic has acknowledged it',
      "    const letters = await timed(hand, 'divert', () => steps.divert(rejected, hand))\n",
      '    steps.divert(rejected, hand).catch(() => {})\n    const letters = rejected\n',
    ],
  ]),
  ...faultsOf('engine/run/run', GUARDS, [
    [
      'a stop by the storm guard lets the batch behind it through',
      '    if (to === batch.to && owner.inFlightRecords === 0) owner.waitsForOperator = pause\n    else reposition()\n',
      '    owner.waitsForOperator = pause\n',
    ],
    [
      'the storm guard does not count the batch in hand',
      'owner.inFlightRecords === records.length ? owner.storm : owner.stormAhead',
      'owner.storm',
    ],
    [
      'a batch between two attempts keeps its places',
      '    for (const free of places) free()\n    places.clear()\n',
      '    places.clear()\n',
    ],
  ]),
  ...faultsOf('engine/run/partition', GUARDS, [
    ['records that are given back are forgotten', '        buffer.putBack(rest)\n', ''],
    [
      'progress goes on behind records that are given back',
      '      next = cut.to\n      if (!closed)',
      '      if (!closed)',
    ],
  ]),
  ...faultsOf('engine/run/partition', PIPELINE, [
    [
      'what is in hand goes on after its partition was taken away',
      "      abandonment.abort(new OwnershipLostError('the partition was taken away'))\n",
      '',
    ],
    [
      'a record below progress is taken once more',
      'if (closed || record.offset < next || !buffer.push(record)) return',
      'if (closed || !buffer.push(record)) return',
    ],
  ]),
  ...faultsOf('engine/run/buffer', unit('engine/run/partition', 'engine/run/pipeline'), [
    [
      'a record that is fetched twice stands twice in a batch',
      '      if (records.length > start && last !== undefined && record.offset <= last.offset) return false\n',
      '',
    ],
  ]),
  ...faultsOf('engine/run/commit', PIPELINE, [
    [
      'a commit that is repeated takes the older progress',
      'progress: newer?.progress ?? failed.progress',
      'progress: failed.progress',
    ],
    [
      'the refused commit of a partition that was taken away is repeated',
      '      if (forgotten.delete(key)) continue\n',
      '',
    ],
    ['a commit that the broker refused counts as done', '    if (result.ok) {\n', '    if (result !== undefined) {\n'],
    [
      'a second commit is sent while one is under way',
      '    if (inFlight !== undefined || waiting.size === 0',
      '    if (waiting.size === 0',
    ],
  ]),
  ...faultsOf('engine/run/storm-guard', GUARDS, [
    [
      'one dead letter more than the limit passes',
      'rules.maxConsecutive > 0 && deadLettersInARow >= rules.maxConsecutive',
      'rules.maxConsecutive > 0 && deadLettersInARow > rules.maxConsecutive',
    ],
    [
      'redriven records count',
      '    if (letter === undefined ? redriven.has(offset) : letter.redriveId !== undefined) continue\n',
      '',
    ],
    [
      'what leaves the window still counts',
      "    if (outcomes.length >= STORM_WINDOW && outcomes.at(-STORM_WINDOW) === '1') dying -= 1\n",
      '',
    ],
    ['refusals of earlier batches are forgotten', 'before.refusedInARow + counting.length', 'counting.length'],
    ['a record that passes does not end a series', '      deadLettersInARow = 0\n', ''],
  ]),
  ...faultsOf('engine/run/crash-guard', GUARDS, [
    ['a single death condemns a record', 'const DEATHS = 2\n', 'const DEATHS = 1\n'],
    [
      'the suspect is not noted before it is touched',
      '              await stored.noteSuspect(groupId, owner, suspect, carefulFrom)\n',
      '',
    ],
    [
      'a suspect is not alone in hand',
      'exit ??= await exclusion.enter(alone)',
      'exit ??= await exclusion.enter(false)',
    ],
    [
      'a start that this process has ended itself counts as a crash',
      '          if (!settled) await clear(counted).catch(() => {})\n',
      '',
    ],
    [
      'the suspect of another offset condemns a record',
      'if (suspect === taken.records[0]?.offset && suspected >= deathsNeeded)',
      'if (suspect !== undefined && suspected >= deathsNeeded)',
    ],
  ]),
  ...faultsOf('engine/run/exclusion', unit('engine/run/exclusion', 'engine/run/guards'), [
    [
      'others enter beside the one that is to be alone',
      'if (aloneInside || (first.alone && inside > 0)) return',
      'if (first.alone && inside > 0) return',
    ],
  ]),
  ...faultsOf('engine/run/slots', unit('engine/run/slots', 'engine/run/guards'), [
    ['a slot that is given back twice counts twice', '        if (!held) return\n', ''],
    [
      'a slot that is handed on counts as free as well',
      '        if (next === undefined) free += 1\n        else next()\n',
      '        free += 1\n        next?.()\n',
    ],
  ]),
  ...faultsOf('engine/run/divert', unit('engine/run/pipeline', 'engine/run/redriven', 'simulation/pipeline'), [
    ['a dead letter that was not acknowledged counts as sent', '      if (failed.length > 0) throw failure\n', ''],
    ['all dead letters are sent again when one has failed', '      pending = failed\n', ''],
  ]),
  ...faultsOf('engine/run/blame', PIPELINE, [
    [
      'an unforeseen error condemns its record at once',
      "if (culprit.kind !== 'refused' && attempts < maxAttempts) return []",
      '',
    ],
    [
      'one timeout makes a batch be taken apart',
      'isolate ||= contended >= CONTENDED_LIMIT',
      'isolate ||= contended >= 1',
    ],
  ]),
  ...faultsOf('engine/run/write', PIPELINE, [
    [
      'the last record that was read is not noted',
      '      lastRead: lastReadOf(batch),\n',
      '      lastRead: undefined,\n',
    ],
  ]),
  ...faultsOf('engine/run/continuity', unit('engine/run/continuity'), [
    [
      'another record at the last offset is taken for the same',
      'record.offset === last.offset ? leaderEpoch === last.leaderEpoch : leaderEpoch >= last.leaderEpoch',
      'leaderEpoch >= last.leaderEpoch',
    ],
  ]),
  ...faultsOf('engine/run/position', PIPELINE, [
    [
      'a topic that was created again halts a partition of which nothing was read',
      '(nextOffset > 0n || wasFurther === true)',
      'true',
    ],
    [
      'a topic that was created again is taken for the former one where that was moved back to its beginning',
      '(nextOffset > 0n || wasFurther === true)',
      'nextOffset > 0n',
    ],
    [
      'what retention removed unread is not in the ledger',
      '      await store.expire(groupId, place, resume.from, resume.to)\n',
      '',
    ],
    [
      'the progress that a crash left uncommitted is not committed',
      'const uncommitted = !isFresh && inKafka !== found.nextOffset',
      'const uncommitted = false',
    ],
  ]),
  ...faultsOf('engine/run/assignments', unit('engine/run/positions', 'engine/run/pipeline'), [
    [
      'a partition whose progress row is gone may start at its end',
      "hadProgress.has(partitionKey(partition)) ? 'earliest' : parts.startAt",
      'hadProgress.has(partitionKey(partition)) ? parts.startAt : parts.startAt',
    ],
    [
      'the group waits for Postgres, and removes the member that does not answer',
      'turningUntil(locating, ANSWER_TIMEOUT_MS)',
      'turningUntil(locating, Number.POSITIVE_INFINITY)',
    ],
    ['what is found out later is forgotten', '    await takeOnBelated()\n', ''],
    [
      'a partition that is sought already is sought once more, and the group waits for that',
      ' && !sought.has(owner)',
      '',
    ],
  ]),
  ...faultsOf('engine/run/assignments', PIPELINE, [
    [
      'a partition is given back before what is in hand has ended',
      '      drained = await drain(gone, drainTimeoutMs())\n',
      '      drained = await drain(gone, 0)\n',
    ],
    [
      'what is in hand is not given up when its bound is over',
      '    for (const partition of partitions) partition.abandon()\n    const deadline',
      '    const deadline',
    ],
    [
      'a partition that has moved meanwhile is left without a reader',
      'error instanceof OwnershipLostError || dispositionOf(error)',
      'dispositionOf(error)',
    ],
  ]),
  ...faultsOf('engine/run/validate', PIPELINE, [
    [
      'a validator that fails on every record empties the topic into the dead letters',
      '    if (surprises === records.length && surprises > 1) throw surprise\n',
      '',
    ],
  ]),
  ...faultsOf('engine/run/breaker', PIPELINE, [
    [
      'a dependency counts as back while its work still fails',
      'probing !== undefined || doubts > 0) return',
      'probing !== undefined) return',
    ],
  ]),
  ...faultsOf('engine/run/receive', unit('engine/run/receive', 'engine/run/guards'), [
    [
      'a partition that waits fills the buffers of all',
      "return [...owned.values()].filter(({ pausedFor }) => pausedFor.every(reason => reason === 'backpressure'))",
      'return [...owned.values()]',
    ],
    [
      'records of a partition whose position is not known are taken',
      'target.halted !== undefined || target.unlocated !== undefined) continue',
      'target.halted !== undefined) continue',
    ],
  ]),
]
