-- Up Migration

-- A topic that is deleted and made anew has the same name, and offsets that count something else.
ALTER TABLE stream_progress ADD COLUMN topic_id text;
COMMENT ON COLUMN stream_progress.topic_id IS 'Kafka''s id of the topic that the offsets count in; null: not known (yet, or the broker gives none)';

-- Down Migration

ALTER TABLE stream_progress DROP COLUMN topic_id;
