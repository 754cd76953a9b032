-- Up Migration

-- A customer_id has up to 1,024 characters, 4,096 bytes in UTF-8, and a row of a B-tree at most 2,704: a valid order could not
-- be stored (SQLSTATE 54000). The index holds the first 128 characters, 512 bytes at most; the query compares both them and
-- the whole. A shorter limit in the schema would have set aside orders that are valid and stored today.
DROP INDEX orders_customer;
CREATE INDEX orders_customer ON orders (left(customer_id, 128), date_created DESC, order_uid DESC);

-- Down Migration

-- Fails while a customer_id is stored that does not fit into a row of this index.
DROP INDEX orders_customer;
CREATE INDEX orders_customer ON orders (customer_id, date_created DESC, order_uid DESC);
