-- A JDBC sink writes into one table. So records are inserted as text, and a trigger spreads each statement's over the four tables: the newest
-- record of each order, without the items that an earlier version had more. `incoming` need not survive a crash: it is only passed through.
CREATE UNLOGGED TABLE incoming (n bigserial, payload text NOT NULL);

CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  WITH latest AS MATERIALIZED (
    SELECT DISTINCT ON (value ->> 'order_uid') value, jsonb_build_object('order_uid', value -> 'order_uid') AS key
    FROM (SELECT n, payload::jsonb AS value FROM arrived) AS parsed
    ORDER BY value ->> 'order_uid', n DESC
  ), o AS (
    INSERT INTO orders SELECT row.* FROM latest, jsonb_populate_record(NULL::orders, value) AS row
    ON CONFLICT (order_uid) DO UPDATE SET ${orders}
  ), d AS (
    INSERT INTO deliveries SELECT row.* FROM latest, jsonb_populate_record(NULL::deliveries, (value -> 'delivery') || key) AS row
    ON CONFLICT (order_uid) DO UPDATE SET ${deliveries}
  ), p AS (
    INSERT INTO payments SELECT row.* FROM latest, jsonb_populate_record(NULL::payments, (value -> 'payment') || key) AS row
    ON CONFLICT (order_uid) DO UPDATE SET ${payments}
  ), i AS (
    INSERT INTO items SELECT row.* FROM latest, jsonb_array_elements(value -> 'items') WITH ORDINALITY AS item (fields, place),
      jsonb_populate_record(NULL::items, fields || key || jsonb_build_object('position', place - 1)) AS row
    ON CONFLICT (order_uid, position) DO UPDATE SET ${items}
  )
  DELETE FROM items USING latest
  WHERE items.order_uid = value ->> 'order_uid' AND items.position >= jsonb_array_length(value -> 'items');
  RETURN NULL;
END
$$;

CREATE TRIGGER spread AFTER INSERT ON incoming REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION spread();
