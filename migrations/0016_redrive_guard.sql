-- Up Migration

-- How a redrive protects those who started it. Redrives of before have neither canary nor limits.
ALTER TABLE replays
  ADD COLUMN canary         bigint NOT NULL DEFAULT 0,
  ADD COLUMN max_failures   bigint,
  ADD COLUMN yield_above    double precision NOT NULL DEFAULT 0,
  ADD COLUMN guard          jsonb,
  ADD COLUMN paused_because jsonb,
  ADD COLUMN waiting_for    jsonb;
COMMENT ON COLUMN replays.canary IS 'members that are redriven and judged before the others; 0: none';
COMMENT ON COLUMN replays.max_failures IS 'it pauses itself when more in a row fail again; null: it does not';
COMMENT ON COLUMN replays.yield_above IS 'it rests while the lag of the stream is above, in seconds; 0: it does not';
COMMENT ON COLUMN replays.guard IS 'how many members have failed again, counted by its workers';
COMMENT ON COLUMN replays.paused_because IS 'why it paused itself; no payload data';
COMMENT ON COLUMN replays.waiting_for IS 'what its worker waits for';

-- Down Migration

ALTER TABLE replays
  DROP COLUMN canary, DROP COLUMN max_failures, DROP COLUMN yield_above, DROP COLUMN guard, DROP COLUMN paused_because,
  DROP COLUMN waiting_for;
