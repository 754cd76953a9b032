-- Up Migration

-- Dead letters as operators work on them: what happened to each, redrives, and what is left of those that were purged.

ALTER TABLE dead_letters
  ADD COLUMN written_by       text NOT NULL DEFAULT 'holdfast',
  ADD COLUMN state_changed_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN replay_id        text,
  ADD COLUMN discard_action   bigint;
COMMENT ON COLUMN dead_letters.written_by IS 'the program whose headers it carries: holdfast, kafka, spring, connect, streams, unknown';
COMMENT ON COLUMN dead_letters.replay_id IS 'the redrive that has it in hand, or had it last';
COMMENT ON COLUMN dead_letters.discard_action IS 'the audit_log entry that discarded it: by this a discard is undone';
-- `failed_again` is not stored: such a letter is open again, or parked, with a replay_count.

-- Pages, latest failure first.
CREATE INDEX dead_letters_newest ON dead_letters (failed_at DESC, id DESC);
-- Of one order.
CREATE INDEX dead_letters_order ON dead_letters (order_uid) WHERE order_uid IS NOT NULL;

-- What happened after the first failure, which the letter's own row tells.
CREATE TABLE dead_letter_events (
  dead_letter_id text COLLATE "C" NOT NULL,
  at             timestamptz NOT NULL DEFAULT clock_timestamp(),
  id             bigint GENERATED ALWAYS AS IDENTITY,
  what           text        NOT NULL,
  who            text,
  detail         jsonb       NOT NULL DEFAULT '{}',
  PRIMARY KEY (dead_letter_id, id)
);
COMMENT ON COLUMN dead_letter_events.detail IS 'no payload data';

CREATE TABLE replays (
  id           text COLLATE "C" PRIMARY KEY,
  state        text        NOT NULL
               CHECK (state IN ('queued', 'running', 'pausing', 'cancelling', 'paused', 'cancelled', 'done', 'failed')),
  filter       text        NOT NULL,
  requested_by text        NOT NULL,
  because      text        NOT NULL,
  automatic    boolean     NOT NULL,
  only_passing boolean     NOT NULL,
  edited       boolean     NOT NULL,
  rate         double precision CHECK (rate > 0),
  total        bigint      NOT NULL,
  epoch        integer     NOT NULL DEFAULT 0,
  heartbeat_at timestamptz,
  page_marks   jsonb,
  takes        text[]      NOT NULL DEFAULT '{open}',
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at   timestamptz,
  finished_at  timestamptz,
  error        text
);
COMMENT ON COLUMN replays.rate IS 'records a second; null: as fast as it goes';
COMMENT ON COLUMN replays.epoch IS 'counts workers that took it: fences off one that comes back from the dead';
COMMENT ON COLUMN replays.heartbeat_at IS 'when its worker was last heard of';
COMMENT ON COLUMN replays.takes IS 'states of a letter from which it is redriven';
COMMENT ON COLUMN replays.page_marks IS 'ends of the source partitions before the page in hand was produced: where a successor looks for what of it arrived';
-- Only one is under way at a time.
CREATE UNIQUE INDEX replays_one_at_a_time ON replays ((true))
  WHERE state IN ('queued', 'running', 'pausing', 'cancelling');

-- The frozen set.
CREATE TABLE replay_items (
  replay_id      text COLLATE "C" NOT NULL,
  position       bigint NOT NULL,
  dead_letter_id text COLLATE "C" NOT NULL,
  state          text   NOT NULL DEFAULT 'pending'
                 CHECK (state IN ('pending', 'claimed', 'published', 'resolved', 'failed_again', 'parked', 'skipped', 'cancelled')),
  outcome        text,
  edited_value   bytea,
  PRIMARY KEY (replay_id, position)
);
COMMENT ON COLUMN replay_items.position IS 'the order of publishing, from 1: by source partition and offset, so that the order of a key is kept';
COMMENT ON COLUMN replay_items.outcome IS 'how its settlement ended (written, stale, duplicate, superseded; the reason when it failed again), or why it was skipped';
-- The next page, however long the set is.
CREATE INDEX replay_items_next ON replay_items (replay_id, position) WHERE state IN ('pending', 'claimed');
CREATE UNIQUE INDEX replay_items_letter ON replay_items (replay_id, dead_letter_id);

-- Purged letters: only their ids, so that a rebuild of the index from the topic does not bring them back ...
CREATE TABLE dead_letters_purged (
  id text COLLATE "C" PRIMARY KEY
);
-- ... and their counts, which the proof and the statistics still need.
CREATE TABLE dead_letters_purged_counts (
  source_topic     text COLLATE "C" NOT NULL,
  source_partition integer NOT NULL,
  group_id         text    NOT NULL,
  reason           text    NOT NULL,
  error            text    NOT NULL,
  pointer          text    NOT NULL,
  state            text    NOT NULL,
  letters          bigint  NOT NULL,
  failures         bigint  NOT NULL,
  PRIMARY KEY (source_topic, source_partition, group_id, reason, error, pointer, state)
);

-- What is left of their places in redrives: how many there were in each state.
CREATE TABLE replay_items_purged (
  replay_id text COLLATE "C" NOT NULL,
  state     text   NOT NULL,
  count     bigint NOT NULL,
  PRIMARY KEY (replay_id, state)
);

-- What an operator has switched off or on while the service runs.
CREATE TABLE switches (
  name       text PRIMARY KEY,
  on_off     boolean     NOT NULL,
  changed_by text        NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);

-- Down Migration

DROP TABLE switches;
DROP TABLE replay_items_purged;
DROP TABLE dead_letters_purged_counts;
DROP TABLE dead_letters_purged;
DROP TABLE replay_items;
DROP TABLE replays;
DROP TABLE dead_letter_events;
DROP INDEX dead_letters_order;
DROP INDEX dead_letters_newest;
ALTER TABLE dead_letters
  DROP COLUMN written_by, DROP COLUMN state_changed_at, DROP COLUMN replay_id, DROP COLUMN discard_action;
