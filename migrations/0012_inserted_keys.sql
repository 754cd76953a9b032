-- Up Migration

-- How many keys a batch stored for the first time: by this the ledger proves how many orders there must be. Rows that a
-- version before this one still writes during a rolling upgrade have null: they inserted between 0 and `written` keys.
-- Rows that exist now get 0: what they inserted is part of the base below.
ALTER TABLE stream_ledger ADD COLUMN inserted bigint DEFAULT 0;
ALTER TABLE stream_ledger ALTER COLUMN inserted DROP DEFAULT;
COMMENT ON COLUMN stream_ledger.inserted IS 'keys that were new, of those written; null: written by a version that did not count them';

-- Changes of the number of orders that no ledger row explains. Orders = sum of stream_ledger.inserted + sum of these.
CREATE TABLE order_count_changes (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at        timestamptz NOT NULL DEFAULT now(),
  orders    bigint      NOT NULL,
  order_uid text COLLATE "C",
  because   text        NOT NULL
);
COMMENT ON COLUMN order_count_changes.orders IS 'how many were added; negative: removed';
COMMENT ON COLUMN order_count_changes.order_uid IS 'the order that was removed on purpose, when it was one; "verify --deep" does not miss it';

-- The lock of ALTER TABLE above lasts until the end of this transaction: no batch is settled between the count and the column.
INSERT INTO order_count_changes (orders, because)
  SELECT count(*), 'orders that were stored before the ledger counted new keys' FROM orders HAVING count(*) > 0;

-- Down Migration

DROP TABLE order_count_changes;
ALTER TABLE stream_ledger DROP COLUMN inserted;
