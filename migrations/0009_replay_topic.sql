-- Up Migration

-- Groups of several topics may share a database, and a letter goes back to the topic that it came from.
ALTER TABLE replays ADD COLUMN topic text;
COMMENT ON COLUMN replays.topic IS 'where its records go: only who works for this topic takes it; null: asked for before that was noted';

-- Down Migration

ALTER TABLE replays DROP COLUMN topic;
