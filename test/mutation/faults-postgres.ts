// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source code.
import { contract, faultsOf, type Mutation, unit } from './mutation.ts'

const STORE = contract('settlement-store', 'settlement-faults')
const FAULTS = contract('settlement-faults', 'settlement-store')
const COPY = contract('copy-road', 'definition-tables')
const TABLES = contract('order-tables', 'definition-tables', 'settlement-store')

/** The transaction that settles a batch, and the tables that it writes. */
export const POSTGRES_FAULTS: readonly Mutation[] = [
  ...faultsOf('engine/postgres/row-settling', FAULTS, [
    [
      'deferred constraints are not looked at while culprits are searched',
      "['SET CONSTRAINTS ALL IMMEDIATE', 'RELEASE SAVEPOINT part']",
      "['RELEASE SAVEPOINT part']",
    ],
    [
      'what a record replaces is not looked at while culprits are searched',
      '[...trimOf(part, rows), ...checked]',
      'checked',
    ],
    [
      'a mistake of the set-up is blamed on records',
      'if (passed || !(error instanceof StoreRejectedError)) return',
      'if (passed || error !== undefined) return',
    ],
    [
      'a batch that fails behind its records is not tried as a whole',
      'createIsolation(ready.length, cause, isolate, recordsPassed)',
      'createIsolation(ready.length, cause, isolate, false)',
    ],
  ]),
  ...faultsOf('engine/postgres/row-settling', STORE, [
    [
      'a batch is written although the fence is closed',
      '      if (fence?.rowCount !== 1) return undefined\n      const rows',
      '      const rows',
    ],
    ['a key that was replaced counts as new', "outcome === 'written' && !replaced", "outcome === 'written'"],
    [
      'entries of the earlier version stay',
      'return await complete(client, frame, rows, trimOf(ready, rows))\n    })\n  }',
      'return await complete(client, frame, rows)\n    })\n  }',
    ],
  ]),
  ...faultsOf('engine/postgres/settlement', STORE, [
    [
      'a batch counts as settled although progress is elsewhere',
      'BigInt(found.next_offset) !== range.to || found.written === null',
      'found.written === null',
    ],
    ['expired offsets are not behind the fence', '        if (fence?.rowCount !== 1) return false\n', ''],
    [
      'another consumer is blamed for progress that went back',
      'isBack ? ProgressSetBackError : OwnershipLostError',
      'OwnershipLostError',
    ],
  ]),
  ...faultsOf('engine/postgres/obstacles', unit('engine/postgres/obstacles'), [
    ['an old server is taken', 'row.major < OLDEST_POSTGRES', 'row.major < 0'],
  ]),
  ...faultsOf(
    'engine/postgres/hosts',
    ['test/scenarios/a-standby-is-promoted-under-load.test.ts'],
    [
      [
        'a primary of before the failover is used',
        'if (timeline >= hosts.timeline) return undefined',
        'if (timeline >= 0) return undefined',
      ],
      [
        'of two servers that take writes the first is used',
        '(found === undefined || timeline > found.timeline)',
        'found === undefined',
      ],
    ],
  ),
  ...faultsOf(
    'engine/postgres/hosts',
    ['test/scenarios/a-password-of-postgres-is-exchanged-while-it-runs.test.ts'],
    [['a password that was exchanged stops the stream', 'hosts.loginMayChange && hosts.wasReached', 'false']],
  ),
  ...faultsOf('engine/postgres/pool', FAULTS, [
    ['a COMMIT that wrote nothing counts as done', "if (tag !== 'COMMIT')", 'if (tag === undefined)'],
  ]),
  ...faultsOf('engine/postgres/pool', contract('pooler'), [
    [
      'a single statement behind a pooler has no limits',
      "return (await answersOf(client, [`BEGIN; ${settings}`, ...statements, 'COMMIT'])).slice(1, -1)",
      'return await answersOf(client, statements)',
    ],
    [
      'a transaction behind a pooler has no limits',
      'settings === undefined ? begin : `${begin}; ${settings}`',
      'begin',
    ],
  ]),
  ...faultsOf('engine/postgres/pool', contract('settlement-faults'), [
    [
      'what follows a BEGIN is sent before it is answered',
      'const begun = await answersOf(client, [withSettings(client, begin)])\n    return [...begun, ...(await answersOf(client, rest))]',
      'return await answersOf(client, [withSettings(client, begin), ...rest])',
    ],
  ]),
  ...faultsOf('engine/postgres/session', contract('pooler'), [
    [
      'limits are left in a session of a pooler, which others get',
      "set_config('${name}', '${value}', ${isPooled})",
      "set_config('${name}', '${value}', false)",
    ],
    ['statements keep their names where that is off', 'if (!preparedStatements) unnamed.add(client)', ''],
  ]),
  ...faultsOf('engine/postgres/pooling', contract('pooler'), [
    ['sessions that are lent on are not noticed', '        if (isLentOn) return', '        if (!isLentOn) return'],
    ['statements count as kept by any pooler', 'return rows.length === 0', 'return rows.length >= 0'],
    ['the direct way may lead to another database', 'pooled === direct) return', 'pooled !== direct) return'],
    [
      'transaction pooling is taken without a direct way',
      "    ...(directUrl === url ? ['DATABASE_DIRECT_URL",
      "    ...(directUrl === '' ? ['DATABASE_DIRECT_URL",
    ],
  ]),
  ...faultsOf('engine/postgres/progress-rows', STORE, [
    [
      'a batch may be held where progress is not',
      'AND group_id = $3 AND next_offset = $4 RETURNING 1',
      'AND group_id = $3 AND $4::int8 IS NOT NULL RETURNING 1',
    ],
    [
      'two streams settle each other in one group',
      '  if (row.stream === stream) return\n',
      '  if (row.stream !== undefined) return\n',
    ],
  ]),
  ...faultsOf('engine/postgres/row-settling', COPY, [
    [
      'rows that COPY left out count as written',
      'copies.find(({ rows }, index) => answers[index]?.rowCount !== rows)',
      'copies.find((_, index) => answers[index] === undefined)',
    ],
    [
      'a batch is copied although the fence is closed',
      '      if (fence?.rowCount !== 1) return undefined\n      const short',
      '      const short',
    ],
    ['COPY takes keys that are known', 'new Set(looked?.rows.map(row => row.key as string))', 'new Set<string>()'],
    [
      'a copied row was stored at another time',
      'tables.copies(fresh, BigInt(now))',
      'tables.copies(fresh, BigInt(now) + 1n)',
    ],
    ['COPY is used whatever stands in its way', 'if (because !== null) stopCopying(because)', ''],
    [
      'what COPY alone rejects is sent again',
      'isUnsupported(failed)) stopCopying',
      'failed === undefined) stopCopying',
    ],
    [
      'entries of the earlier version stay where a batch goes both ways',
      'complete(client, frame, rows, trimOf(rest, replacing))',
      'complete(client, frame, rows)',
    ],
    [
      'a batch that fails behind its copied records is not tried as a whole',
      '      obstacle = undefined\n      onRecordsPassed()',
      '      obstacle = undefined',
    ],
  ]),
  ...faultsOf('engine/postgres/row-settling', contract('bisect-cost', 'copy-road'), [
    [
      'what COPY refuses is tried once more before it is taken apart',
      'const settled = mayBlame(failed, frame.isolate)',
      'const settled = mayBlame(failed, frame.isolate) && failed === undefined',
    ],
  ]),
  ...faultsOf('engine/postgres/copy-statements', COPY, [
    ['COPY passes over rules', 'WHEN EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid)', 'WHEN false'],
    ['COPY is tried where row-level security applies', 'WHEN row_security_active(c.oid)', 'WHEN false'],
    ['COPY is tried before a trigger that suppresses rows', 'tgtype & 7 = 7', 'tgtype & 7 = 8'],
    ['COPY fills a column of another type', 'AND a.atttypid = own.type', 'AND a.atttypid <> 0'],
  ]),
  ...faultsOf(
    'engine/postgres/copy-rows',
    [...unit('engine/postgres/copy-rows'), ...COPY],
    [
      [
        'a buffer that grows forgets its rows',
        'this.bytes.copy(grown, 0, 0, this.at)',
        'this.bytes.copy(grown, 0, 0, 0)',
      ],
      ['a text beyond ASCII is cut to bytes', 'if (unit > 0x7f) break', 'if (unit > 0xff) break'],
      ['positions count from 1', 'rows.int4(position);', 'rows.int4(position + 1);'],
      ['an optional object that is absent has a row', 'table.optional ? ', "table.kind === 'many' ? "],
      ['large integers lose their upper half', 'Math.floor(value / TWO_TO_32)', 'value < 0 ? -1 : 0'],
      ['the kept column is left out', "'rows.jsonb(value);'", "'rows.absent();'"],
    ],
  ),
  ...faultsOf('engine/postgres/copy-in', COPY, [
    [
      'only the first message of the data is sent',
      'at < this.copy.bytes.length; at += CHUNK_BYTES',
      'at < 1; at += CHUNK_BYTES',
    ],
  ]),
  ...faultsOf('engine/postgres/ledger', STORE, [
    [
      'the fence does not look at progress',
      'AND group_id = $3 AND next_offset = $4${storm',
      'AND group_id = $3 AND $4::int8 IS NOT NULL${storm',
    ],
    ['a batch is settled while its partition waits for an operator', "' AND paused_for IS NULL'", "''"],
  ]),
  ...faultsOf('engine/postgres/ledger', contract('stream-control', 'settlement-store'), [
    ['starts are not forgotten when progress moves', 'updated_at = now(), starts = 0,', 'updated_at = now(),'],
  ]),
  ...faultsOf('engine/postgres/start-counts', contract('stream-control'), [
    [
      'deaths of another suspect count',
      'CASE WHEN suspect_offset = $4 THEN suspect_deaths + 1 ELSE 1 END',
      'suspect_deaths + 1',
    ],
    [
      'a suspect below progress is one still',
      'CASE WHEN suspect_offset >= next_offset THEN suspect_offset END AS',
      'suspect_offset AS',
    ],
  ]),
  ...faultsOf('engine/postgres/start-progress', contract('settlement-store', 'stream-control', 'proof'), [
    [
      'the ledger has a hole where a progress row was removed',
      'const from = found?.last == null ? skippedFrom : BigInt(found.last)',
      'const from = skippedFrom',
    ],
    ['what is passed over at the start is not in the ledger', '  if (from !== at) {\n', '  if (from > at) {\n'],
  ]),
  ...faultsOf('engine/postgres/pool', FAULTS, [
    [
      'a transaction that fails costs its connection',
      "await client.query('ROLLBACK').catch(() => {})",
      'await Promise.resolve()',
    ],
    [
      'a broken connection is lent again',
      "client.release(away || client.getTransactionStatus() !== 'I')",
      'client.release(false)',
    ],
  ]),
  ...faultsOf('engine/postgres/tables', TABLES, [
    [
      'the same record is written again',
      'excluded.source_offset > stored.source_offset',
      'excluded.source_offset >= stored.source_offset',
    ],
    [
      'of two equal timestamps the stored one wins in SQL',
      'excluded.source_timestamp >= stored.source_timestamp',
      'excluded.source_timestamp > stored.source_timestamp',
    ],
    [
      'offsets of two topics are compared in SQL',
      'WHEN stored.source_topic = excluded.source_topic AND stored',
      'WHEN stored',
    ],
    ['nothing counts as replaced', 'stored.${STORED_AT} <> now() AS replaced', 'false AS replaced'],
    ['one entry too many stays', '>= kept.count`', '> kept.count`'],
    ['an optional object of the earlier version stays', "'kept.count = 0'", "'kept.count < 0'"],
    [
      'a stale record overwrites the other tables',
      ' WHERE input.${key.name} IN (SELECT ${key.name} FROM written)',
      ' WHERE true',
    ],
    ['a duplicate counts as stale', ") THEN 'duplicate'", ") THEN 'stale'"],
    [
      'a record of another partition at the same offset is a duplicate',
      '(stored.source_topic, stored.source_partition, stored.source_offset)\n             = (input.source_topic, input.source_partition, input.source_offset)',
      '(stored.source_topic, stored.source_offset)\n             = (input.source_topic, input.source_offset)',
    ],
  ]),
  ...faultsOf('engine/postgres/tables-select', contract('value-reader', 'definition-tables'), [
    [
      'entries come in any order',
      ' ORDER BY ${alias}.${identifier(child.position)}',
      ' ORDER BY ${alias}.${identifier(child.position)} DESC',
    ],
    [
      'the last value of a page comes again on the next',
      '(${column}, ${root}.${key}) < (',
      '(${column}, ${root}.${key}) <= (',
    ],
    ['an optional object that is absent is there', 'row[present] === true ? values(row) : undefined', 'values(row)'],
    ['a page goes beyond its last date', 'AND ${column} < ${to}::${type}', 'AND ${column} <= ${to}::${type}'],
  ]),
  ...faultsOf('engine/postgres/migrate', contract('project'), [
    [
      'who goes back drops the tables of a project',
      'setsOf(project, directory).slice(-1)',
      'setsOf(project, directory).reverse()',
    ],
    ['tables go from under a process that stores into them', "if (isOurs || direction === 'down') {", 'if (isOurs) {'],
  ]),
  ...faultsOf(
    'engine/postgres/migration-rules',
    [...unit('engine/postgres/migration-rules'), ...contract('migration-rules')],
    [
      [
        'a version that can work with a migration keeps it out',
        'compareVersions(version, before) < 0',
        'compareVersions(version, before) <= 0',
      ],
      ['a migration is taken from under a process that knows it', 'migration >= name', 'migration > name'],
      ['what runs is broken by a migration that says so', 'if (first === undefined) return\n', 'return\n'],
      [
        'a version starts on tables that it cannot work with',
        'compareVersions(VERSION, least) >= 0',
        'compareVersions(VERSION, least) < 0',
      ],
    ],
  ),
]
