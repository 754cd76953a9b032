// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source code.
import { contract, faultsOf, type Mutation, unit } from './mutation.ts'

/** The ledger's extension and merge, checkpoints of proofs, what is removed once it is old, and the time line. */
export const BOOKS_FAULTS: readonly Mutation[] = [
  ...faultsOf('engine/postgres/ledger', contract('ledger-extension'), [
    [
      'a row that ends elsewhere is extended',
      'AND l.to_offset = $4 AND l.stream',
      'AND $4::int8 IS NOT NULL AND l.stream',
    ],
    ['skipped and expired rows are extended', ' AND l.expired = 0 AND l.skipped = 0', ''],
    ['a row is extended for ever', "AND interval '1 hour'", "AND interval '1 year'"],
    [
      'the row of another partition is extended',
      "'topic = $1 AND partition = $2 AND group_id = $3 ORDER BY id DESC LIMIT 1'",
      "'$1::text IS NOT NULL AND $2::int4 IS NOT NULL AND $3::text IS NOT NULL ORDER BY id DESC LIMIT 1'",
    ],
    [
      'another batch of an extended row tells how this one ended',
      'coalesce(last_batch[1], from_offset) AS from_offset',
      'from_offset',
    ],
    [
      'an extended row tells how its last batch ended',
      'coalesce(last_batch[${nth}], ${name}) AS ${name}',
      'coalesce(last_batch[${nth}] * 0 + ${name}, ${name}) AS ${name}',
    ],
    [
      'the batch of another range tells how this one ended',
      'ON batch.from_offset = $4 AND batch.to_offset = $5',
      'ON batch.from_offset = $4 AND $5::int8 IS NOT NULL',
      { survives: 'progress is at the end of the range as well, and the latest row ends where progress is' },
    ],
  ]),
  ...faultsOf('engine/postgres/ledger-merge', contract('ledger-merge', 'proof-checkpoint'), [
    ['rows with a hole between them are merged', 'AND from_offset = lag(to_offset) OVER chain\n', '\n'],
    [
      'rows that do not add up, expired and skipped ones are merged',
      'coalesce(old AND whole AND lag(old) OVER chain AND lag(whole) OVER chain',
      'coalesce(old AND lag(old) OVER chain',
    ],
    ['young rows are merged', 'coalesce(old AND whole AND lag(old) OVER chain AND', 'coalesce(whole AND'],
    ['rows of several days are merged', 'AND day = lag(day) OVER chain AND stream', 'AND stream'],
    [
      'rows without a count of new keys are merged with others',
      '\n        AND (inserted IS NULL) = lag(inserted IS NULL) OVER chain',
      '',
    ],
    [
      'rows on both sides of a checkpoint are merged',
      '\n        AND (id <= checkpoint_id) = lag(id <= checkpoint_id) OVER chain',
      '',
    ],
    ['the latest row is merged', 'AND id < (SELECT max(id)', 'AND id <= (SELECT max(id)'],
    [
      'two merges work on the same rows',
      "await pipelined(client, ['BEGIN', lockMerges(stream)])",
      "await pipelined(client, ['BEGIN'])",
    ],
    [
      'a slice begins behind the rows that the one before left',
      'THEN (SELECT max(id) FROM runs) END',
      'THEN (SELECT max(id) + 1 FROM slice) END',
    ],
  ]),
  ...faultsOf('engine/postgres/proof-checkpoint', contract('proof-checkpoint'), [
    [
      'a checkpoint is left although the ledger was merged across it',
      'WHERE NOT EXISTS (${CHANGED})',
      'WHERE NOT EXISTS (SELECT FROM (${CHANGED}) AS changed WHERE false)',
    ],
    [
      'an older proof replaces the checkpoint of a later one',
      '\n          WHERE known.proven_at < excluded.proven_at',
      '',
    ],
    ['a checkpoint from the future is trusted', ' AND proven_at <= now()', ''],
    ['the row that may still be extended counts as closed', 'AND l.id < latest.id', 'AND l.id <= latest.id'],
    ['a changed ledger is not noticed', 'WHERE sum IS DISTINCT FROM now.sums->>name', 'WHERE false'],
  ]),
  ...faultsOf('engine/postgres/proof-checks-since', contract('proof-checkpoint'), [
    [
      'values that are missing are not noticed',
      'root.rows NOT BETWEEN counted.least AND counted.least + counted.unsure',
      'false',
    ],
    ['tables with one row for each value are not counted', ' <> root.rows`).join', ' < 0`).join'],
    ['positions beyond progress are not noticed', 'WHERE root.beyond > 0 OR', 'WHERE'],
    [
      'values that were stored since are not looked at',
      'FILTER (WHERE stored_at >= ${literal',
      "FILTER (WHERE stored_at > interval '1 year' + ${literal",
    ],
    [
      'entries of values that were stored since may have holes',
      'coalesce(max(${nth}), -1) <> count(${nth}) - 1',
      'false',
    ],
    [
      'entries of values that were stored since may be missing',
      '`coalesce(min(${nth}), -1)` : `',
      '`coalesce(min(${nth}), 0)` : `',
    ],
  ]),
  ...faultsOf('engine/postgres/proof', contract('proof-checkpoint'), [
    [
      'what expired makes each proof read everything',
      'proof.findings.length === proof.expired.length',
      'proof.findings.length === 0',
    ],
    [
      'a changed ledger is forgotten once everything was read',
      '[...proof.findings.filter(({ changed }) => changed), ...whole.findings]',
      'whole.findings',
    ],
    ['dead letters of late count as found', ' AND d.failed_at < $6::timestamptz', ' AND $6::text IS NOT NULL'],
    [
      'dead letters behind the end of the last reading count as found',
      'd.dlq_offset < read.before',
      'd.dlq_offset <= read.before',
    ],
  ]),
  ...faultsOf('inbox/postgres/operator-purge', contract('operator-purge'), [
    [
      'a discard that can be undone loses its entry',
      "d.discard_action = entry.id AND d.state = 'discarded'",
      'd.discard_action = entry.id AND false',
    ],
    [
      'the audit log of another stream is removed',
      'FROM holdfast.audit_log AS entry WHERE stream = $1',
      'FROM holdfast.audit_log AS entry WHERE $1::text IS NOT NULL',
    ],
    ['a redrive to a topic is removed', "AND topic = '' AND", 'AND'],
    ['a redrive under way is removed', 'redrivesWhere(state => state.final)', 'redrivesWhere(() => true)'],
    ['a redrive is removed before its letters', 'WHERE item.replay_id = r.id)', 'WHERE false)'],
  ]),
  ...faultsOf('inbox/postgres/stored-stream', contract('stored-stream'), [
    ['the rate of an extended row is that of all its batches', 'least(1, extract', 'least(1, 1 + 0 * extract'],
    ['a partition that was moved back lowers the rate of the others', 'total + Math.max(0, count)', 'total + count'],
  ]),
  ...faultsOf('engine/watch/timeline', unit('engine/watch/timeline'), [
    [
      'a stop that ended within a step is not in it',
      '      for (const stop of stands) stood.add(stop)\n      if (shown === undefined && isIdle) return undefined\n',
      '      if (shown === undefined && isIdle) return undefined\n',
    ],
  ]),
  ...faultsOf('engine/watch/timeline-keeper', unit('engine/watch/timeline'), [
    ['steps that wait for Postgres are not bounded', '      pending = pending.slice(-PENDING_MAX)\n', ''],
  ]),
  ...faultsOf('engine/postgres/timeline', contract('timeline'), [
    [
      'a step that is written again is counted twice',
      'DO UPDATE SET settled = excluded.settled,',
      'DO UPDATE SET settled = timeline_steps.settled + excluded.settled,',
    ],
    [
      'a step that comes late replaces the longer one',
      'settled = kept.settled + excluded.settled',
      'settled = excluded.settled',
    ],
    ['what is older than a week stays', 'for (const level of LEVELS)', 'for (const level of LEVELS.slice(0, 2))'],
  ]),
]
