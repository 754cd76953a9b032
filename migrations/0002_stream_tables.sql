-- Up Migration

-- Where each partition goes on. Its row is the fence: it advances only from the offset that a batch started from.
CREATE TABLE stream_progress (
  topic        text COLLATE "C" NOT NULL,
  partition    integer     NOT NULL,
  group_id     text COLLATE "C" NOT NULL,
  first_offset bigint      NOT NULL CHECK (first_offset >= 0),
  next_offset  bigint      NOT NULL CHECK (next_offset >= 0),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition, group_id)
) WITH (fillfactor = 50); -- room for the next version on the same page: every batch updates its row
COMMENT ON COLUMN stream_progress.first_offset IS 'the first offset ever consumed: where the ledger begins';
COMMENT ON COLUMN stream_progress.next_offset IS 'below it everything is settled';

-- One row a batch: what became of the offsets [from_offset, to_offset). Written in the transaction of the batch.
CREATE TABLE stream_ledger (
  topic         text COLLATE "C" NOT NULL,
  partition     integer     NOT NULL,
  group_id      text COLLATE "C" NOT NULL,
  from_offset   bigint      NOT NULL,
  to_offset     bigint      NOT NULL,
  records       bigint      NOT NULL,
  written       bigint      NOT NULL,
  duplicate     bigint      NOT NULL,
  stale         bigint      NOT NULL,
  superseded    bigint      NOT NULL,
  dead_lettered bigint      NOT NULL,
  gaps          bigint      NOT NULL,
  expired       bigint      NOT NULL,
  skipped       bigint      NOT NULL,
  settled_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition, group_id, from_offset)
);
COMMENT ON COLUMN stream_ledger.superseded IS 'a later record of the same batch replaced it';
COMMENT ON COLUMN stream_ledger.gaps IS 'offsets that hold no record, as transaction markers do';
COMMENT ON COLUMN stream_ledger.expired IS 'removed by retention before they were read';
COMMENT ON COLUMN stream_ledger.skipped IS 'passed over by an operator';

-- Down Migration

DROP TABLE stream_ledger;
DROP TABLE stream_progress;
