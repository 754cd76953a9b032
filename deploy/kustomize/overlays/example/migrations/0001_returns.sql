-- Up Migration

CREATE TABLE public.returns (
  return_id        text COLLATE "C" NOT NULL,
  created_at       timestamptz NOT NULL,
  reason           text,
  source_topic     text NOT NULL,
  source_partition integer NOT NULL,
  source_offset    bigint NOT NULL,
  source_timestamp bigint NOT NULL,
  stored_at        timestamptz NOT NULL,
  PRIMARY KEY (return_id)
);
CREATE INDEX returns_newest ON public.returns (created_at DESC, return_id DESC);

-- Down Migration

DROP TABLE public.returns;
