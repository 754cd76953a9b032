-- Up Migration

-- What operators ask of a stream, for whichever process consumes it. A pause of an operator is a row of its own, and not a column of
-- stream_progress: it may be of the whole stream, with partitions that come later, and the storm guard's pause must not be lifted with it.
CREATE TABLE stream_pauses (
  stream    text COLLATE "C" NOT NULL,
  topic     text        NOT NULL,
  group_id  text        NOT NULL,
  partition integer,
  paused_by text        NOT NULL,
  because   text        NOT NULL,
  paused_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX stream_pauses_one_of_each ON stream_pauses (topic, group_id, (coalesce(partition, -1)));
COMMENT ON TABLE stream_pauses IS 'partitions that an operator holds (holdfast pause), until holdfast resume';
COMMENT ON COLUMN stream_pauses.partition IS 'null: the whole stream, partitions that come later included';

-- A request to move a partition that a process has in hand: that process carries it out between two batches, in one transaction with
-- the ledger's row. One that is not carried out in time has no effect any more.
CREATE TABLE stream_moves (
  topic      text        NOT NULL,
  partition  integer     NOT NULL,
  group_id   text        NOT NULL,
  id         bigint      GENERATED ALWAYS AS IDENTITY,
  stream     text COLLATE "C" NOT NULL,
  to_offset  bigint      NOT NULL,
  low_offset bigint      NOT NULL,
  topic_id   text,
  asked_by   text        NOT NULL,
  because    text        NOT NULL,
  expires_at timestamptz NOT NULL,
  moved_at   timestamptz,
  moved_from bigint,
  PRIMARY KEY (topic, partition, group_id)
);
COMMENT ON TABLE stream_moves IS 'the last request of holdfast seek to a running service, of each partition';
COMMENT ON COLUMN stream_moves.moved_from IS 'null: it was never consumed, or is not moved';

-- Down Migration

DROP TABLE stream_moves;
DROP TABLE stream_pauses;
