-- Up Migration

-- What must outlive a process for a partition to get past a record that kills it, and past a storm of invalid ones.
ALTER TABLE stream_progress
  ADD COLUMN starts                integer NOT NULL DEFAULT 0,
  ADD COLUMN suspect_offset        bigint,
  ADD COLUMN suspect_deaths        integer NOT NULL DEFAULT 0,
  ADD COLUMN dead_letters_in_a_row bigint  NOT NULL DEFAULT 0,
  ADD COLUMN paused_for            text    CHECK (paused_for = 'storm_guard'),
  ADD COLUMN paused_at             timestamptz;
COMMENT ON COLUMN stream_progress.starts IS 'assignments that got as far as their first batch since progress last advanced';
COMMENT ON COLUMN stream_progress.suspect_offset IS 'the record that is processed alone just now: what a process leaves behind when it kills it';
COMMENT ON COLUMN stream_progress.suspect_deaths IS 'how often that record has been noted';
COMMENT ON COLUMN stream_progress.dead_letters_in_a_row IS 'at the end of what is settled';
COMMENT ON COLUMN stream_progress.paused_for IS 'why it waits for an operator (holdfast resume)';

-- An operator may move a partition back, to read again: then its offsets stand in the ledger more than once, and the order
-- of the rows is the order in which they were written.
ALTER TABLE stream_ledger ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY;
ALTER TABLE stream_ledger DROP CONSTRAINT stream_ledger_pkey;
ALTER TABLE stream_ledger ADD PRIMARY KEY (topic, partition, group_id, from_offset, id);
COMMENT ON COLUMN stream_ledger.skipped IS 'passed over by an operator; negative: moved back, to be read again';

CREATE TABLE audit_log (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at      timestamptz NOT NULL DEFAULT now(),
  who     text        NOT NULL,
  what    text        NOT NULL,
  filter  text        NOT NULL,
  because text        NOT NULL,
  counts  jsonb       NOT NULL
);
COMMENT ON TABLE audit_log IS 'every action of an operator';

-- Down Migration

DROP TABLE audit_log;
-- What was read again has no place under the narrower key: the latest reading stays.
DELETE FROM stream_ledger AS older USING stream_ledger AS newer
  WHERE (older.topic, older.partition, older.group_id, older.from_offset)
      = (newer.topic, newer.partition, newer.group_id, newer.from_offset) AND older.id < newer.id;
ALTER TABLE stream_ledger DROP CONSTRAINT stream_ledger_pkey;
ALTER TABLE stream_ledger DROP COLUMN id;
ALTER TABLE stream_ledger ADD PRIMARY KEY (topic, partition, group_id, from_offset);
ALTER TABLE stream_progress
  DROP COLUMN starts, DROP COLUMN suspect_offset, DROP COLUMN suspect_deaths, DROP COLUMN dead_letters_in_a_row,
  DROP COLUMN paused_for, DROP COLUMN paused_at;
