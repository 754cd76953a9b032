-- Up Migration

-- Several streams share a database, and each finds its own rows by its name. Rows that exist are of `orders`, the only stream
-- before this. Progress and ledger keep their keys: a partition that a group consumes belongs to one stream.
ALTER TABLE stream_progress ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
ALTER TABLE stream_ledger   ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
ALTER TABLE audit_log       ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
ALTER TABLE replays         ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
ALTER TABLE dead_letters    ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
ALTER TABLE dead_letters_purged_counts ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
ALTER TABLE switches        ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
COMMENT ON COLUMN stream_progress.stream IS 'name of the stream that consumes the partition';

-- A record of any stream has a key; the key of an order is its uid.
ALTER TABLE dead_letters RENAME COLUMN order_uid TO key;
COMMENT ON COLUMN dead_letters.key IS 'of the value, when it can be read';

-- What a list, a chart or a purge reads is of one stream. A stream has few topics, so a source is found by its stream first.
DROP INDEX dead_letters_newest, dead_letters_source, dead_letters_order;
CREATE INDEX dead_letters_newest ON dead_letters (stream, failed_at DESC, id DESC);
CREATE INDEX dead_letters_source ON dead_letters (stream, source_topic, source_partition, source_offset);
CREATE INDEX dead_letters_key    ON dead_letters (stream, key) WHERE key IS NOT NULL;

ALTER TABLE dead_letters_purged_counts
  DROP CONSTRAINT dead_letters_purged_counts_pkey,
  ADD PRIMARY KEY (stream, source_topic, source_partition, group_id, reason, error, pointer, state);
ALTER TABLE switches DROP CONSTRAINT switches_pkey, ADD PRIMARY KEY (stream, name);

-- One redrive at a time of each stream.
DROP INDEX replays_one_at_a_time;
CREATE UNIQUE INDEX replays_one_at_a_time ON replays (stream)
  WHERE state IN ('queued', 'running', 'pausing', 'cancelling');

ALTER TABLE order_count_changes RENAME TO value_count_changes;
ALTER TABLE value_count_changes RENAME COLUMN orders TO values;
ALTER TABLE value_count_changes RENAME COLUMN order_uid TO key;
ALTER TABLE value_count_changes RENAME CONSTRAINT order_count_changes_pkey TO value_count_changes_pkey;
ALTER TABLE value_count_changes ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'orders';
ALTER SEQUENCE order_count_changes_id_seq RENAME TO value_count_changes_id_seq;
COMMENT ON TABLE value_count_changes IS
  'changes of the number of values that no ledger row explains: values of a stream = sum of stream_ledger.inserted + sum of these';
COMMENT ON COLUMN value_count_changes.values IS 'how many were added; negative: removed';
COMMENT ON COLUMN value_count_changes.key IS 'the value that was removed on purpose, when it was one; "verify --deep" does not miss it';

-- Down Migration

-- Fails while two streams have rows under one key (a redrive under way each, a switch each): end or remove those of the others first.
ALTER SEQUENCE value_count_changes_id_seq RENAME TO order_count_changes_id_seq;
ALTER TABLE value_count_changes DROP COLUMN stream;
ALTER TABLE value_count_changes RENAME CONSTRAINT value_count_changes_pkey TO order_count_changes_pkey;
ALTER TABLE value_count_changes RENAME COLUMN key TO order_uid;
ALTER TABLE value_count_changes RENAME COLUMN values TO orders;
ALTER TABLE value_count_changes RENAME TO order_count_changes;
COMMENT ON TABLE order_count_changes IS NULL;
DROP INDEX replays_one_at_a_time;
CREATE UNIQUE INDEX replays_one_at_a_time ON replays ((true))
  WHERE state IN ('queued', 'running', 'pausing', 'cancelling');
ALTER TABLE switches DROP CONSTRAINT switches_pkey, ADD PRIMARY KEY (name);
ALTER TABLE dead_letters_purged_counts
  DROP CONSTRAINT dead_letters_purged_counts_pkey,
  ADD PRIMARY KEY (source_topic, source_partition, group_id, reason, error, pointer, state);
DROP INDEX dead_letters_key, dead_letters_source, dead_letters_newest;
COMMENT ON COLUMN dead_letters.key IS NULL;
ALTER TABLE dead_letters RENAME COLUMN key TO order_uid;
CREATE INDEX dead_letters_source ON dead_letters (source_topic, source_partition, source_offset);
CREATE INDEX dead_letters_newest ON dead_letters (failed_at DESC, id DESC);
CREATE INDEX dead_letters_order ON dead_letters (order_uid) WHERE order_uid IS NOT NULL;
ALTER TABLE switches        DROP COLUMN stream;
ALTER TABLE dead_letters_purged_counts DROP COLUMN stream;
ALTER TABLE dead_letters    DROP COLUMN stream;
ALTER TABLE replays         DROP COLUMN stream;
ALTER TABLE audit_log       DROP COLUMN stream;
ALTER TABLE stream_ledger   DROP COLUMN stream;
ALTER TABLE stream_progress DROP COLUMN stream;
