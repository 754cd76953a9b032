-- Up Migration

-- A broker that lost the end of a log, and took new records in its place, has other records at the same offsets. The leader
-- epoch tells: a record at the same offset with the same epoch is the same record.
ALTER TABLE stream_progress ADD COLUMN last_offset bigint, ADD COLUMN last_leader_epoch integer;
COMMENT ON COLUMN stream_progress.last_offset IS 'offset of the last record that was settled; null: not known, or an operator has moved the partition since';
COMMENT ON COLUMN stream_progress.last_leader_epoch IS 'leader epoch of that record, as Kafka holds it';

-- Down Migration

ALTER TABLE stream_progress DROP COLUMN last_leader_epoch, DROP COLUMN last_offset;
