-- Up Migration

-- A cause is a group of dead letters: those of a stream that failed in the same way. This is what operators say of it, and whether it came
-- back after all of it was dealt with. A service with the role jobs makes and renews the rows from the dead letters; the settling transaction
-- does not touch them.
CREATE TABLE causes (
  id             text COLLATE "C" PRIMARY KEY,
  stream         text COLLATE "C" NOT NULL,
  reason         text        NOT NULL,
  error          text        NOT NULL,
  pointer        text        NOT NULL,
  state          text        NOT NULL
                 CHECK (state IN ('new', 'regressed', 'due', 'known', 'snoozed', 'resolved')),
  since          timestamptz NOT NULL,
  version        text,
  last_failed_at timestamptz NOT NULL,
  snoozed_until  timestamptz,
  snoozed_above  bigint CHECK (snoozed_above > 0),
  resolved_by    text,
  owner          text,
  note           text,
  changed_by     text,
  changed_at     timestamptz
);
CREATE INDEX causes_stream ON causes (stream);
COMMENT ON COLUMN causes.id IS 'c and the beginning of a hash of stream, reason, error and pointer';
COMMENT ON COLUMN causes.since IS 'when it came into its state';
COMMENT ON COLUMN causes.version IS 'that was deployed when it appeared, or came back';
COMMENT ON COLUMN causes.last_failed_at IS 'its latest failure when it came into its state: a later one makes a resolved cause regressed';
COMMENT ON COLUMN causes.snoozed_above IS 'so many waiting dead letters end the snooze';
COMMENT ON COLUMN causes.resolved_by IS 'the operator who said so; null: nothing of it was left to be dealt with';

-- Down Migration

DROP TABLE causes;
