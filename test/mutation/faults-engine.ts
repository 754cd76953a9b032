import { contract, faultsOf, type Mutation, unit } from './mutation.ts'

/** The rules of the engine that need no server, and its consumer. */
export const ENGINE_FAULTS: readonly Mutation[] = [
  ...faultsOf('engine/collapse', unit('engine/collapse'), [
    ['keys are sorted by code units, and not by bytes', 'codeUnit + 0x10000', 'codeUnit'],
    [
      'a redriven record that is superseded within its batch closes no dead letter',
      "      leftOut.push({ ready: earlier, outcome: 'superseded' })\n",
      '',
    ],
    [
      'an older version wins when it comes later in a batch',
      "if (standing === 'older') {",
      "if (standing !== 'newer' && standing !== 'older') {",
    ],
  ]),
  ...faultsOf('engine/record', unit('engine/collapse'), [
    [
      'of two equal timestamps the stored one wins',
      'arriving.timestampMs >= stored.timestampMs',
      'arriving.timestampMs > stored.timestampMs',
    ],
    [
      'offsets of two topics are compared',
      'arriving.topic === stored.topic && arriving.partition === stored.partition',
      'arriving.partition === stored.partition',
    ],
  ]),
  ...faultsOf('engine/isolation', unit('engine/isolation'), [
    [
      'a lock that another session holds is blamed on a record',
      'isolate && error.sqlState !== LOCK_NOT_AVAILABLE',
      'isolate',
    ],
    [
      'an unforeseen error that all records meet condemns all of them',
      "      if (all && found.every(culprit => culprit.kind === 'unforeseen')) throw cause\n",
      '',
    ],
    [
      'a batch is no longer halved although a part has passed',
      'if (!passed && found.length >= HOPELESS_AFTER',
      'if (found.length >= HOPELESS_AFTER',
    ],
    ['contention is searched for without end', '++contended > contendedLimit', '++contended > contendedLimit * 1_000'],
    [
      'a timeout of a record that is alone in its batch condemns it',
      '      if (found.length === size && contendedAlone.size === size) throw cause\n',
      '',
    ],
  ]),
  ...faultsOf('engine/bisection', unit('engine/bisection'), [
    ['the lower half is the smaller one', 'Math.ceil((start + end) / 2)', 'Math.floor((start + end) / 2)'],
  ]),
  ...faultsOf('engine/errors', unit('engine/run/pipeline', 'engine/retry'), [
    [
      'an unforeseen error is retried without end',
      "error instanceof StreamError ? error.disposition : 'halt'",
      "error instanceof StreamError ? error.disposition : 'retry'",
    ],
  ]),
  ...faultsOf('engine/headers', unit('engine/headers', 'inbox/dead-letter', 'inbox/reading', 'engine/provenance'), [
    ['of a repeated header the first one counts', 'headers.findLast(', 'headers.find('],
    [
      'half a character is left where a header is cut',
      '  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1\n',
      '',
    ],
    ['a count that no column holds is read', 'count >= 0 && count <= INT32_MAX', 'count >= 0'],
    ['any text is a topic of an origin', 'at === undefined || !TOPIC.test(name)', 'at === undefined'],
  ]),
  ...faultsOf('engine/provenance', unit('engine/provenance'), [
    [
      'a record may claim its own offset as its origin',
      'origin.offset < record.offset',
      'origin.offset <= record.offset',
    ],
    [
      'an origin beyond the progress of its partition is believed',
      'if (nextOffset !== undefined) return origin.offset < nextOffset',
      'if (nextOffset !== undefined) return true',
    ],
    [
      'the timestamp of a header is believed',
      'timestampMs = claim.origin.timestampMs, redriveCount } = known',
      'timestampMs, redriveCount } = { ...known, timestampMs: claim.origin.timestampMs }',
    ],
    [
      'progress decides over an origin of a topic that was deleted',
      'if (topicParts(origin.topic).formerId !== undefined) return true',
      '',
    ],
  ]),
  ...faultsOf('engine/timestamp', unit('engine/headers'), [
    [
      'the last timestamp of 64 bits has no column',
      'if (timestampMs >= 2 ** 63) return INT64_MAX',
      'if (timestampMs > 2 ** 63) return INT64_MAX',
    ],
    [
      'an integer beyond 64 bits is a timestamp',
      'return value >= INT64_MIN && value <= INT64_MAX',
      'return value >= INT64_MIN',
    ],
  ]),
  ...faultsOf('engine/retry', unit('engine/retry'), [
    [
      'one attempt more is made than is allowed',
      'attempt >= maxAttempts || !passes(error)',
      'attempt > maxAttempts || !passes(error)',
    ],
    ['what must not be repeated is repeated', 'attempt >= maxAttempts || !passes(error)', 'attempt >= maxAttempts'],
    ['an abort does not end the attempts', '    signal.throwIfAborted()\n', ''],
  ]),
  ...faultsOf('engine/lifecycle', unit('engine/lifecycle'), [
    ['a stop does not wait for the start', '    if (!isStarted) await beginOnce().catch(() => {})\n', ''],
    [
      'a start that fails leaves its parts open',
      '      await close(() => Promise.reject(error))\n',
      '      throw error\n',
    ],
    ['a second call begins the work again', '    if (running) return running\n', ''],
  ]),
  ...faultsOf('engine/progress', unit('engine/progress'), [
    ['the end of a partition counts as beyond it', 'if (offset > high)', 'if (offset >= high)'],
    [
      'progress beyond the end is corrected in silence',
      "  if (offset > high) return { kind: 'beyond_end', offset, high }\n",
      '',
    ],
  ]),
  ...faultsOf('engine/work', unit('engine/work'), [
    ['a batch whose records do not add up is written', 'if (ends !== records)', 'if (ends > records)'],
    ['a batch with one key twice is written', "ready[i]?.key ?? '') >= 0", "ready[i]?.key ?? '') > 0"],
  ]),
  ...faultsOf('engine/proof/deep-proof', unit('engine/proof/deep-proof'), [
    [
      'of two equal timestamps the row that is there counts as damage',
      'return samePartition || origin.timestampMs !== row.timestampMs',
      'return true',
    ],
    ['a record that waits as a dead letter counts as missing', "if (letter?.kind === 'set_aside' || (row", 'if ((row'],
    [
      'a row with another timestamp than its record passes',
      'if (!sameTime || !held?.json.equals',
      'if (!held?.json.equals',
    ],
    [
      'a value that differs from its record passes',
      '!held?.json.equals(toJson(candidate.value))',
      'held === undefined',
    ],
  ]),
  ...faultsOf('engine/proof/offset-marks', unit('engine/proof/offset-marks'), [
    [
      'a later mark lowers an earlier one',
      'if (known !== undefined && known < mark) put',
      'if (known !== undefined) put',
    ],
  ]),
  ...faultsOf('engine/kafka/consumer', unit('engine/kafka/consumer-renewal'), [
    [
      'partitions that were handed out and not answered are not lost with their client',
      'for (const partition of [...handedOut, ...(lostEvent?.partitions ?? [])])',
      'for (const partition of lostEvent?.partitions ?? [])',
    ],
    [
      'an answer to the old client reaches the new one',
      'if (to === undefined || to.member === member) give(current())',
      'give(current())',
    ],
    [
      'a client is replaced although it hears its broker again',
      '!(await deaf.hearsBroker()) && !lifecycle',
      '!lifecycle',
    ],
  ]),
  ...faultsOf(
    'engine/kafka/member',
    [...unit('engine/kafka/consumer-renewal'), ...contract('record-source', 'kafka-room')],
    [
      [
        'a partition that was taken away while paused stays paused',
        '    if (!lifecycle.stopping.aborted) resumePaused(partitions)\n',
        '',
      ],
      [
        'progress of a partition that is not ours is committed',
        '      if (!positions.every(position => owned.has(partitionKey(position)))) return Promise.resolve(NOT_A_MEMBER)\n',
        '',
      ],
      [
        'the records of a poll that comes back late are dropped',
        'polling ??= consume(max, timeoutMs)',
        'polling = consume(max, timeoutMs)',
      ],
      ['a disconnect waits for a commit that is not answered', 'if (isCommitting) return await abandon()', ''],
      [
        'a commit that is answered late is not waited for',
        'pollWhile(() => isCommitting, COMMIT_ANSWER_MS)',
        'undefined',
      ],
      ['a client that is left behind keeps its partitions', 'pollWhile(() => owned.size > 0, ABANDON_MS)', 'undefined'],
      ['a static member leaves the group', "    if (connection.extra['group.instance.id'] !== undefined) return\n", ''],
    ],
  ),
  ...faultsOf('engine/kafka/partition-reader', contract('partition-reader', 'head-reader', 'dead-letter-records'), [
    ['a reading goes on behind its end', '            if (offset >= to) return to\n', ''],
    [
      'records of aborted transactions are read',
      "uncommitted ? 'read_uncommitted' : 'read_committed'",
      "'read_uncommitted'",
    ],
  ]),
  ...faultsOf('engine/kafka/gate', unit('engine/kafka/gate'), [
    [
      'work begins beside work that is to be alone',
      '      while (closed !== undefined) await closed\n      running += 1\n',
      '      running += 1\n',
    ],
  ]),
]
