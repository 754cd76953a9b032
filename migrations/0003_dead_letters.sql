-- Up Migration

-- The index of the DLQ topic, which holds the bytes. No payload data but the order's uid.
CREATE TABLE dead_letters (
  id               text COLLATE "C" NOT NULL PRIMARY KEY,
  reason           text        NOT NULL,
  error            text        NOT NULL,
  pointer          text        NOT NULL,
  message          text        NOT NULL,
  violations       jsonb       NOT NULL,
  order_uid        text COLLATE "C",
  group_id         text        NOT NULL,
  source_topic     text COLLATE "C" NOT NULL,
  source_partition integer     NOT NULL,
  source_offset    bigint      NOT NULL,
  source_timestamp bigint      NOT NULL,
  first_failed_at  timestamptz NOT NULL,
  failed_at        timestamptz NOT NULL,
  failures         bigint      NOT NULL,
  attempts         integer     NOT NULL,
  replay_count     integer     NOT NULL,
  state            text        NOT NULL DEFAULT 'open'
                   CHECK (state IN ('open', 'replaying', 'resolved', 'failed_again', 'parked', 'discarded')),
  bytes            bigint      NOT NULL,
  dlq_partition    integer,
  dlq_offset       bigint
);
COMMENT ON COLUMN dead_letters.id IS 'topic-partition-offset of where the record first stood';
COMMENT ON COLUMN dead_letters.source_timestamp IS 'of that record, in milliseconds since the epoch, as Kafka holds it';
COMMENT ON COLUMN dead_letters.failures IS 'how many readings of it were settled as dead-lettered: they add up to the ledger''s dead_lettered';
COMMENT ON COLUMN dead_letters.attempts IS 'deliveries of the latest reading, counting from 1';
COMMENT ON COLUMN dead_letters.replay_count IS 'how often it has been redriven';
COMMENT ON COLUMN dead_letters.bytes IS 'key, value and headers';
COMMENT ON COLUMN dead_letters.dlq_offset IS 'with dlq_partition: where it stands in the DLQ topic, when that is known';

-- By place: lists of a partition, and the proof that the ledger's dead letters are all here.
CREATE INDEX dead_letters_source ON dead_letters (source_topic, source_partition, source_offset);

-- Down Migration

DROP TABLE dead_letters;
