// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source code.
import { contract, faultsOf, type Mutation, unit } from './mutation.ts'

const REDRIVEN = contract('redriven-records')
const REDRIVES = contract('redrives', 'redrives-in-flight')

/** Dead letters and redrives. */
export const INBOX_FAULTS: readonly Mutation[] = [
  ...faultsOf(
    'inbox/letter-states',
    [...unit('inbox/states'), ...REDRIVES],
    [
      [
        'a discarded letter is resolved by what is read again',
        "read_again: { from: ['open', 'parked']",
        "read_again: { from: ['open', 'parked', 'discarded']",
      ],
      [
        'a redrive whose worker is gone waits for it to pause',
        "pause: ['pausing', 'paused'], resume: 'running'",
        "pause: ['pausing', 'pausing'], resume: 'running'",
      ],
      [
        'a redrive that failed can be resumed',
        "failed: { label: 'failed', ...ENDED }",
        "failed: { label: 'failed', ...ENDED, resume: 'queued' }",
      ],
    ],
  ),
  ...faultsOf('inbox/letter-states', contract('dead-letter-store'), [
    [
      'a letter under a redrive can be discarded',
      "discard: { from: ['open', 'parked']",
      "discard: { from: ['open', 'parked', 'replaying']",
    ],
  ]),
  ...faultsOf('inbox/redrive-ends', REDRIVEN, [
    [
      'of two ends of a letter the lesser one counts',
      'WEIGHT[end.outcome] > WEIGHT[other.outcome]',
      'WEIGHT[end.outcome] < WEIGHT[other.outcome]',
    ],
  ]),
  ...faultsOf('inbox/edit', unit('inbox/http/admin-redrives', 'inbox/http/admin-letters'), [
    [
      'an edit takes the place of one of several letters',
      'if (letter === undefined || rows.length > 1)',
      'if (letter === undefined)',
    ],
    [
      'an edit may have the key of another value',
      'if (!isOfAnotherKey(letter, verdict.key)) return undefined',
      'if (letter !== undefined) return undefined',
    ],
    [
      'an edit that would fail again is redriven',
      '  if (!verdict.ok) {\n',
      '  if (!verdict.ok && verdict.key !== null) {\n',
    ],
  ]),
  ...faultsOf('inbox/filter', unit('inbox/filter'), [
    [
      'a value with a comma is printed without quotes',
      "BARE.exec(value)?.[0] === value && value !== ''",
      "value !== ''",
    ],
    [
      'what was searched for is written into the audit log',
      'term.values.length === 0 ? term : { ...term, values: [WITHHELD] }',
      'term',
    ],
  ]),
  ...faultsOf('inbox/filter-reader', unit('inbox/filter'), [
    ['a quoted backslash is lost', "if (next !== '\"' && next !== '\\\\') throw", "if (next !== '\"') throw"],
  ]),
  ...faultsOf(
    'inbox/search',
    [...unit('inbox/search'), ...contract('letter-search')],
    [
      ['a page of a search skips the rest of its chunk', ': chunk.places[index]', ': chunk.next'],
      [
        'a letter without bytes meets what others do not',
        'if (verdict !== true) continue',
        'if (verdict === false) continue',
      ],
    ],
  ),
  ...faultsOf('inbox/letter-csv', unit('inbox/letter-csv'), [
    ['a spreadsheet runs what a record holds', 'FORMULA.test(text)', 'false'],
  ]),
  ...faultsOf('inbox/postgres/dead-letter-filter-sql', contract('dead-letter-filter'), [
    ['"not" leaves out letters without a key', '`(${condition}) IS NOT TRUE`', '`NOT (${condition})`'],
    ['% and _ of a filter stand for any character', "text.replace(/[\\\\%_]/g, '\\\\$&')", 'text'],
    [
      'younger and older letters are mixed up',
      '${MIRRORED[term.comparison]} ${ago(term',
      '${term.comparison} ${ago(term',
    ],
    ['a letter that failed again is not found', ' AND ${d}.replay_count > 0`', ' AND ${d}.replay_count > 1`'],
  ]),
  ...faultsOf(
    'inbox/postgres/dead-letters',
    [...REDRIVEN, ...contract('dead-letter-index')],
    [
      ['a letter that was settled opens again', '    WHEN known.state IN (${sqlList(SETTLED)}) THEN known.state\n', ''],
      [
        'a letter of another redrive opens',
        "    WHEN known.state = 'replaying' AND excluded.replay_id <> known.replay_id THEN known.state\n",
        '',
      ],
      [
        'an earlier failure of a letter is not counted',
        'failures = known.failures + excluded.failures',
        'failures = excluded.failures',
      ],
      [
        'the place of an earlier copy is forgotten',
        "dlq_offset: 'coalesce(excluded.dlq_offset, known.dlq_offset)'",
        "dlq_offset: 'excluded.dlq_offset'",
      ],
      [
        'a letter is parked one redrive late',
        'CASE WHEN replay_count >= ${redriveMax} THEN',
        'CASE WHEN replay_count > ${redriveMax} THEN',
      ],
    ],
  ),
  ...faultsOf('inbox/postgres/redrive-ends', REDRIVEN, [
    [
      'a discarded letter is resolved by its redrive',
      'WHERE d.id = effective.id AND locked.state IN (${sqlList(LETTER_MOVES.resolve.from)})',
      'WHERE d.id = effective.id',
    ],
    [
      'a letter of a topic that was created again is resolved',
      'JOIN input USING (id, source_timestamp)',
      'JOIN input USING (id)',
    ],
    [
      'a member that is settled is settled again',
      "        AND state NOT IN (${sqlList(membersWhere('settled'))}) FOR UPDATE",
      '        FOR UPDATE',
    ],
  ]),
  ...faultsOf('inbox/postgres/provenance', REDRIVEN, [
    [
      'a member that was never published is believed',
      "WHERE item.state <> 'pending' OR",
      'WHERE item.state IS NOT NULL OR',
    ],
    [
      'a redrive counts twice when its record is read again',
      "{sqlList(membersWhere('settled'))}) THEN 0 ELSE 1",
      "{sqlList(membersWhere('settled'))}) THEN 1 ELSE 1",
    ],
  ]),
  ...faultsOf('inbox/postgres/letter-settlement', REDRIVEN, [
    [
      'a letter forgets what it failed for before',
      '      ...joined(failedAgain),\n      ...joined(index),\n',
      '      ...joined(index),\n      ...joined(failedAgain),\n',
    ],
    ['letters before progress are asked for', 'AND source_offset >= next_offset AND', 'AND source_offset >= 0 AND'],
  ]),
  ...faultsOf('inbox/postgres/dead-letter-store', contract('dead-letter-store'), [
    [
      'undoing a discard restores those of others',
      'AND d.discard_action = $7 AND d.state',
      'AND $7::bigint IS NOT NULL AND d.state',
    ],
    [
      'a long discard ends after its first slice',
      'after = noted < SLICE ? undefined : (last ?? undefined)',
      'after = undefined',
    ],
  ]),
  ...faultsOf('inbox/postgres/dead-letter-purge', contract('dead-letter-purge'), [
    [
      'a letter that waits is purged',
      'AND state IN (${sqlList(SETTLED)}) AND state_changed_at',
      'AND state_changed_at',
    ],
    [
      'counts of earlier purges are lost',
      'failures = known.failures + excluded.failures',
      'failures = excluded.failures',
    ],
    ['a purge waits for a letter that is locked', ' FOR UPDATE SKIP LOCKED', ' FOR UPDATE'],
    [
      'a redrive under way loses its members',
      "(item.state NOT IN (${sqlList(membersWhere('left'))}) OR EXISTS (",
      '(item.state IS NOT NULL OR EXISTS (',
    ],
  ]),
  ...faultsOf('inbox/postgres/reindex-sql', contract('reindex'), [
    [
      'what was purged comes back',
      '      AND NOT EXISTS (SELECT FROM holdfast.dead_letters_purged AS gone WHERE gone.id = letter.id)\n    ON CONFLICT',
      '    ON CONFLICT',
    ],
    [
      'the first copy of a letter counts',
      "ORDER BY copy.id, copy.written_by = 'holdfast' DESC, copy.replay_count DESC, copy.failed_at DESC,",
      "ORDER BY copy.id, copy.written_by = 'holdfast' DESC, copy.replay_count, copy.failed_at,",
    ],
    ['a discarded letter is open', "        WHEN decided.what = 'discarded' THEN 'discarded'\n", ''],
    [
      'a place that was noted meanwhile is overwritten',
      'd.dlq_offset < ends.read AND NOT EXISTS',
      'd.dlq_offset >= 0 AND NOT EXISTS',
    ],
    [
      'more failures are counted than the ledger has',
      'WHERE owed.turn <= lacking.lacking GROUP',
      'WHERE lacking.lacking > 0 GROUP',
    ],
  ]),
  ...faultsOf('inbox/postgres/redrive-set', REDRIVES, [
    [
      'parked letters are redriven unasked',
      "state === 'open' || namesState(filter, state)",
      "state !== 'replaying' || namesState(filter, state)",
    ],
    [
      'letters of another topic are redriven',
      "          WHEN d.source_topic <> ALL (${topicAt}::text[]) THEN 'other_topic'\n",
      "          WHEN ${topicAt}::text[] IS NULL THEN 'other_topic'\n",
    ],
  ]),
  ...faultsOf('inbox/postgres/redrive-work', REDRIVES, [
    [
      'a worker that was taken for dead goes on',
      'SET epoch = epoch + 1, heartbeat_at',
      'SET epoch = greatest(epoch, 1), heartbeat_at',
    ],
    ['a page that was begun is left undone', '      if (begun.items.length > 0) return begun\n', ''],
    [
      'what a settlement has said of a member is undone',
      "AND dead_letter_id = ANY ($3::text[]) AND state = 'claimed' AND ${BY_ME}",
      'AND dead_letter_id = ANY ($3::text[]) AND ${BY_ME}',
    ],
    [
      'a cancelled redrive is taken up again',
      "                WHEN $3 IN ('queued', 'paused') AND state = 'cancelling' THEN 'cancelling'\n",
      '',
    ],
  ]),
  ...faultsOf('inbox/jobs/redrive-to-topic', unit('inbox/jobs/redrive-worker'), [
    [
      'what has arrived is sent again after a crash',
      'items.filter(item => !arrived.has(item.id))',
      'items.filter(item => item.id !== undefined)',
    ],
    ['letters that could not be claimed are published', 'page.filter(({ item }) => claimed.has(item.id))', 'page'],
    ['a worker that was frozen goes on sending', 'parts.silentMs() > REDRIVE_SEND_WINDOW_MS', 'parts.silentMs() < 0'],
    [
      'a redrive is published without its claim',
      'const claimed = await store.claim(redrive, ids, await topic.ends(partitions))',
      'const ends = await topic.ends(partitions); const claimed = new Set(ids); void store.claim(redrive, ids, ends).catch(() => {})',
    ],
  ]),
  ...faultsOf('inbox/jobs/redrive-worker', unit('inbox/jobs/redrive-worker'), [
    ['a beat counts from its answer', 'heardAtMs = askedAtMs', 'heardAtMs = clock.monotonic()'],
    ['letters that could not be claimed are settled', 'loaded.filter(({ item }) => claimed.has(item.id))', 'loaded'],
    [
      'a letter that ends the process is looked at again and again',
      'deaths >= maxDeaths ? deaths : undefined',
      'undefined',
    ],
    [
      'a letter that ends the process takes its neighbours along',
      'deaths < ALONE_FROM ? mine : mine.slice(0, 1)',
      'mine',
    ],
    ['pages into the store keep to no rate', 'for (const _ of hand) pace.take()', ''],
    [
      'letters ahead of the stream are stored',
      'items.filter(item => item.ahead)',
      'items.filter(item => item.id === undefined)',
    ],
    ['a page is cut to no size', 'return index > 0 && bytes > PAGE_MAX_BYTES', 'return index > PAGE_MAX_BYTES'],
  ]),
  ...faultsOf('inbox/postgres/redrive-pages', contract('redrive-pages'), [
    ['new keys of a redrive are in no count', 'inserted === 0 ? undefined', 'inserted >= 0 ? undefined'],
    [
      'letters that failed again keep their cause',
      'deadLetters.length === 0 ? undefined',
      'deadLetters.length >= 0 ? undefined',
    ],
    [
      'a page is settled although another worker has it',
      'if (settled === undefined) throw takenOver(redrive)',
      "if (settled === undefined) return { kind: 'settled', written: [], closings: toClosings([]) }",
    ],
  ]),
  ...faultsOf('inbox/postgres/redrive-work', contract('redrive-pages', 'redrives'), [
    [
      'the fence of a page does not look at the epoch',
      'const IS_MINE = `id = $1 AND epoch = $2 ',
      'const IS_MINE = `id = $1 AND epoch >= $2 ',
    ],
    [
      'a letter from anywhere is taken for settled',
      'AND l.from_offset <= d.source_offset AND l.to_offset > d.source_offset',
      'AND l.to_offset > 0',
    ],
  ]),
  ...faultsOf('inbox/redrive-settlement', unit('inbox/redrive-settlement'), [
    ['a lost reply leaves old values in the cache', '        onSettled?.(undefined, ready)\n', ''],
    ['what the store refuses is tried again', 'ready = ready.filter(record => !gone.has(record))', ''],
    [
      'a letter is never blamed for contention',
      'pages.settle(redrive, { ready: newest, collapsed, deadLetters, isolate })',
      'pages.settle(redrive, { ready: newest, collapsed, deadLetters, isolate: isolate && false })',
    ],
  ]),
  ...faultsOf('inbox/redrive-guard', unit('inbox/redrive-guard'), [
    ['a canary of which half fails passes', 'failed * 2 >= rules.canary', 'failed * 2 > rules.canary'],
    [
      'a person who lets it go on is stopped by what was counted before',
      'return { at, past_canary: true, ...NONE }',
      'return { at, past_canary: false, ...NONE }',
    ],
    ['a run of failures is noticed a page late', 'rules.maxFailures !== null && counts.in_a_row > 0', 'false'],
    ['a success does not end a run', 'counts = { ...counts, in_a_row: 0, causes: [] }', 'counts = { ...counts }'],
    [
      'nothing is a success when nothing is known yet',
      '!isOver || published > resolved',
      '!isOver || published < resolved',
    ],
  ]),
  ...faultsOf('inbox/jobs/redrive-guard', unit('inbox/jobs/redrive-worker'), [
    [
      'a redrive goes ahead before it knows how far the stream is behind',
      "await note(undefined)\n        return { kind: 'wait' }",
      "await note(undefined)\n        return { kind: 'go' }",
    ],
    [
      'a pause is forgotten by a successor',
      'if (verdict.pause !== undefined) return paused(verdict.counts, verdict.pause)',
      'if (verdict.pause !== undefined) { await store.noteGuard(redrive, verdict.counts, undefined); await clock.sleep(9_000); return paused(verdict.counts, verdict.pause) }',
    ],
    ['the canary waits for ever', 'clock.monotonic() - waitsSinceMs > CANARY_WAIT_MS', 'false'],
    [
      'the next page does not wait for the canary',
      'if (counting && isInCanary(counts, rules))',
      'if (counting && false)',
    ],
    ['the live stream is not looked at', 'restsFor(rules, behind)', 'restsFor(rules, 0)'],
  ]),
  ...faultsOf('inbox/jobs/redrive-worker', unit('inbox/jobs/redrive-worker'), [
    ['a verdict changes nothing', "if (answer.kind === 'pause') return answer.parting", ''],
    ['a page is as large as ever', 'guard.limit(pageItems)', 'pageItems'],
  ]),
  ...faultsOf('inbox/stream-lag', unit('inbox/stream-lag'), [
    ['a partition that waits for an operator holds redrives up', 'pausedFor !== undefined || ', ''],
    ['a partition that an operator has paused holds redrives up', ' || manualPause !== undefined', ''],
    ['an old answer is believed', 'known !== undefined && isFresh(known.atMs)', 'known !== undefined'],
    [
      'a redrive goes ahead of a stream that it has just asked about',
      "? 'asked' : undefined",
      '? undefined : undefined',
    ],
  ]),
  ...faultsOf('inbox/postgres/redrive-work', contract('redrives'), [
    [
      'a redrive that has paused itself is queued again',
      "AND state = 'running' AND $5::jsonb IS NULL",
      "AND state = 'running'",
    ],
  ]),
  ...faultsOf('inbox/postgres/redrives', contract('redrives'), [
    ['a canary that failed is taken again', "what === 'resume' ? countsOf(row) : null", 'null'],
  ]),
  ...faultsOf('inbox/jobs/pace', unit('inbox/jobs/pace'), [
    [
      'an hour that was missed is made up for',
      'Math.min(capacity, tokens + ((nowMs - filledAtMs) / 1000) * (ratePerSecond ?? 0))',
      'tokens + ((nowMs - filledAtMs) / 1000) * (ratePerSecond ?? 0)',
    ],
  ]),
]
