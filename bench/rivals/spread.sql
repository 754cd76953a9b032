-- Spreads JSON orders over the four tables in one statement: the newest record of each order, without the items that an earlier version had
-- more. The steps of a WITH, whose relation `arrived` holds the records in their order: n, payload (text).
latest AS MATERIALIZED (
  SELECT DISTINCT ON (value ->> 'order_uid') value, jsonb_build_object('order_uid', value -> 'order_uid') AS key
  FROM (SELECT n, payload::jsonb AS value FROM arrived) AS parsed
  ORDER BY value ->> 'order_uid', n DESC
), o AS (
  INSERT INTO orders SELECT row.* FROM latest, jsonb_populate_record(NULL::orders, value) AS row
  ON CONFLICT (order_uid) DO UPDATE SET track_number = excluded.track_number, entry = excluded.entry, locale = excluded.locale,
    internal_signature = excluded.internal_signature, customer_id = excluded.customer_id,
    delivery_service = excluded.delivery_service, shardkey = excluded.shardkey, sm_id = excluded.sm_id,
    date_created = excluded.date_created, oof_shard = excluded.oof_shard
), d AS (
  INSERT INTO deliveries SELECT row.* FROM latest, jsonb_populate_record(NULL::deliveries, (value -> 'delivery') || key) AS row
  ON CONFLICT (order_uid) DO UPDATE SET name = excluded.name, phone = excluded.phone, zip = excluded.zip, city = excluded.city,
    address = excluded.address, region = excluded.region, email = excluded.email
), p AS (
  INSERT INTO payments SELECT row.* FROM latest, jsonb_populate_record(NULL::payments, (value -> 'payment') || key) AS row
  ON CONFLICT (order_uid) DO UPDATE SET transaction = excluded.transaction, request_id = excluded.request_id,
    currency = excluded.currency, provider = excluded.provider, amount = excluded.amount, payment_dt = excluded.payment_dt,
    bank = excluded.bank, delivery_cost = excluded.delivery_cost, goods_total = excluded.goods_total,
    custom_fee = excluded.custom_fee
), i AS (
  INSERT INTO items SELECT row.* FROM latest, jsonb_array_elements(value -> 'items') WITH ORDINALITY AS item (fields, place),
    jsonb_populate_record(NULL::items, fields || key || jsonb_build_object('position', place - 1)) AS row
  ON CONFLICT (order_uid, position) DO UPDATE SET chrt_id = excluded.chrt_id, track_number = excluded.track_number,
    price = excluded.price, rid = excluded.rid, name = excluded.name, sale = excluded.sale, size = excluded.size,
    total_price = excluded.total_price, nm_id = excluded.nm_id, brand = excluded.brand, status = excluded.status
)
DELETE FROM items USING latest
WHERE items.order_uid = value ->> 'order_uid' AND items.position >= jsonb_array_length(value -> 'items')
