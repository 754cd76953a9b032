-- Up Migration

-- What happened to each stream, in steps of time: the console's time line. A process that consumes adds a row a step; what has
-- become old is added up into longer steps, and removed after a week, so that the table stays at some 3,000 rows a stream.
CREATE TABLE timeline_steps (
  stream        text COLLATE "C" NOT NULL,
  at            timestamptz      NOT NULL,
  step_seconds  integer          NOT NULL,
  process       uuid             NOT NULL,
  settled       bigint           NOT NULL,
  dead_lettered bigint           NOT NULL,
  lag_records   bigint,
  lag_seconds   double precision,
  stops         text[]           NOT NULL,
  PRIMARY KEY (stream, at, step_seconds, process)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON COLUMN timeline_steps.at IS 'where the step begins';
COMMENT ON COLUMN timeline_steps.process IS 'who counted; all zeros: several, added up into a longer step';
COMMENT ON COLUMN timeline_steps.lag_records IS 'of the partitions of the process, when the step ended; of a longer step: the most';
COMMENT ON COLUMN timeline_steps.stops IS
  'what stood still at any time in the step: pause/REASON/PARTITION, breaker/DEPENDENCY, stream/STATE';

-- Actions of a span of time.
CREATE INDEX audit_log_at ON audit_log (stream, at);

-- Down Migration

DROP INDEX audit_log_at;
DROP TABLE timeline_steps;
