-- Up Migration

-- What the storm guard counts survives restarts and rebalances, and so does the cause of a pause, which readiness shows.
ALTER TABLE stream_progress
  ADD COLUMN refused_in_a_row bigint            NOT NULL DEFAULT 0,
  ADD COLUMN recent_outcomes  bit varying(1000) NOT NULL DEFAULT B'',
  ADD COLUMN paused_because   text;
COMMENT ON COLUMN stream_progress.refused_in_a_row IS 'records that the store refused since it took one';
COMMENT ON COLUMN stream_progress.recent_outcomes IS 'the last 1,000 records, the oldest first: 1 for a dead letter';
COMMENT ON COLUMN stream_progress.paused_because IS 'the cause of paused_for, for an operator';

-- Down Migration

ALTER TABLE stream_progress
  DROP COLUMN refused_in_a_row, DROP COLUMN recent_outcomes, DROP COLUMN paused_because;
