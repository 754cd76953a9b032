-- Up Migration

-- A redrive goes into the store, or to the topic. One into the store names no topic: a worker of a version before this one, which
-- would publish its letters, looks for a redrive to its own topic and does not take it.
ALTER TABLE replays ADD COLUMN "to" text NOT NULL
  GENERATED ALWAYS AS (CASE WHEN topic = '' THEN 'store' ELSE 'topic' END) STORED;
COMMENT ON COLUMN replays.topic IS
  'where its records go: only who works for this topic takes it; empty: into the store; null: asked for before that was noted';
COMMENT ON COLUMN replays."to" IS 'store: settled in the tables of the stream; topic: published to the topic that it came from';

-- A letter that ends the process would end the next one as well, and the one after that.
ALTER TABLE replays ADD COLUMN page_deaths integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN replays.page_deaths IS 'workers in a row that vanished with a page into the store in hand, since one was settled';

-- What a worker before left half done, which each page asks for: the index of what is left would be read to its end for that.
CREATE INDEX replay_items_claimed ON replay_items (replay_id, position) WHERE state = 'claimed';

-- Keys that a redrive stored for the first time, in no batch's ledger row: one row for each redrive that did.
ALTER TABLE value_count_changes ADD COLUMN replay_id text COLLATE "C";
COMMENT ON COLUMN value_count_changes.replay_id IS 'the redrive into the store that added them, when it was one';
CREATE UNIQUE INDEX value_count_changes_replay ON value_count_changes (replay_id) WHERE replay_id IS NOT NULL;

-- Down Migration

-- Fails while a redrive into the store is under way: the version before would publish it. End it first.
DO $$ BEGIN
  IF EXISTS (SELECT FROM replays WHERE topic = '' AND state IN ('queued', 'running', 'pausing', 'cancelling', 'paused')) THEN
    RAISE EXCEPTION 'a redrive into the store is not over: cancel it first';
  END IF;
END $$;
DROP INDEX value_count_changes_replay;
DROP INDEX replay_items_claimed;
ALTER TABLE value_count_changes DROP COLUMN replay_id;
ALTER TABLE replays DROP COLUMN page_deaths;
ALTER TABLE replays DROP COLUMN "to";
COMMENT ON COLUMN replays.topic IS 'where its records go: only who works for this topic takes it; null: asked for before that was noted';
