-- Up Migration

-- When consumers were started, and with which version: beside the arrivals of dead letters this tells what began with a deploy.
CREATE TABLE consumer_starts (
  id         uuid        PRIMARY KEY,
  started_at timestamptz NOT NULL,
  version    text        NOT NULL
);
CREATE INDEX consumer_starts_latest ON consumer_starts (started_at DESC);
COMMENT ON COLUMN consumer_starts.id IS 'of the process: one that has to try again notes its start once';

-- Down Migration

DROP TABLE consumer_starts;
