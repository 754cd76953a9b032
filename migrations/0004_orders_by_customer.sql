-- Up Migration

-- A customer's orders, newest first: by orders_newest alone, a customer with few orders means reading the whole table.
-- Measured on 50,000 orders of 20,000 customers, in turn with and without: 6 % more write-ahead log and 10 % more of the
-- server's CPU time; the time until all was written could not be told from noise.
CREATE INDEX orders_customer ON orders (customer_id, date_created DESC, order_uid DESC);

-- Down Migration

DROP INDEX orders_customer;
