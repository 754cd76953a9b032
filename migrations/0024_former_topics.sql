-- Up Migration

-- Positions of a topic that was deleted and created again say nothing about those of the topic that has its name now. Values that came from
-- it have its id in their `source_topic` (`orders@ID`). The id of a dead letter stays, because the dead-letter topic has it.
ALTER TABLE dead_letters ADD COLUMN former_topic_id text;
COMMENT ON COLUMN dead_letters.former_topic_id IS
  'Kafka''s id of the topic in which its position counts, where that was deleted and another one has its name now; null: the topic of that name';

-- Down Migration

ALTER TABLE dead_letters DROP COLUMN former_topic_id;
