-- Up Migration

-- A batch of few records extends the ledger's row before it, and rows of past days are merged into one.
ALTER TABLE stream_ledger ADD COLUMN since timestamptz, ADD COLUMN last_batch bigint[];
COMMENT ON COLUMN stream_ledger.settled_at IS 'when the last of its batches was settled';
COMMENT ON COLUMN stream_ledger.since IS 'of a row of several batches: when the first of them was settled';
COMMENT ON COLUMN stream_ledger.last_batch IS
  'of a row that was extended: first offset, written, duplicate, stale, superseded and dead_lettered of its last batch';

-- In the order in which they were written: the latest row of a partition is extended, and is found when the reply to a COMMIT was lost.
ALTER TABLE stream_ledger DROP CONSTRAINT stream_ledger_pkey;
ALTER TABLE stream_ledger ADD PRIMARY KEY (topic, partition, group_id, id);

-- Up to where a stream was proven, and what was found there: the next proof goes on from it.
CREATE TABLE proof_checkpoints (
  stream     text COLLATE "C" NOT NULL,
  topic      text COLLATE "C" NOT NULL,
  group_id   text COLLATE "C" NOT NULL,
  proven_at  timestamptz NOT NULL,
  full_at    timestamptz NOT NULL,
  partitions jsonb       NOT NULL,
  dlq        jsonb,
  PRIMARY KEY (stream, topic, group_id)
);
COMMENT ON COLUMN proof_checkpoints.full_at IS 'when everything was last read';
COMMENT ON COLUMN proof_checkpoints.partitions IS
  'of each partition the last row of its ledger that is closed, and the sums up to there; rows on both sides of it are not merged';
COMMENT ON COLUMN proof_checkpoints.dlq IS
  'id of the dead-letter topic, and up to where each of its partitions was read';

-- Down Migration

DROP TABLE proof_checkpoints;
ALTER TABLE stream_ledger DROP CONSTRAINT stream_ledger_pkey;
ALTER TABLE stream_ledger ADD PRIMARY KEY (topic, partition, group_id, from_offset, id);
ALTER TABLE stream_ledger DROP COLUMN last_batch, DROP COLUMN since;
COMMENT ON COLUMN stream_ledger.settled_at IS NULL;
