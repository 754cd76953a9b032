  WITH written AS (
    INSERT INTO public.orders AS stored (order_uid, source_topic, source_partition, source_offset, source_timestamp, track_number, entry, locale, internal_signature, customer_id, delivery_service, shardkey, sm_id, date_created, oof_shard, stored_at)
    SELECT input.*, now() FROM unnest($1::text[], $2::text[], $3::int4[], $4::int8[], $5::int8[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::int8[], $14::timestamptz[], $15::text[]) AS input (order_uid, source_topic, source_partition, source_offset, source_timestamp, track_number, entry, locale, internal_signature, customer_id, delivery_service, shardkey, sm_id, date_created, oof_shard)
    ON CONFLICT (order_uid) DO UPDATE
      SET source_topic = excluded.source_topic, source_partition = excluded.source_partition, source_offset = excluded.source_offset, source_timestamp = excluded.source_timestamp, track_number = excluded.track_number, entry = excluded.entry, locale = excluded.locale, internal_signature = excluded.internal_signature, customer_id = excluded.customer_id, delivery_service = excluded.delivery_service, shardkey = excluded.shardkey, sm_id = excluded.sm_id, date_created = excluded.date_created, oof_shard = excluded.oof_shard, stored_at = greatest(now(), stored.stored_at) + interval '1 microsecond'
      WHERE CASE
        WHEN stored.source_topic = excluded.source_topic AND stored.source_partition = excluded.source_partition
        THEN excluded.source_offset > stored.source_offset
        ELSE excluded.source_timestamp >= stored.source_timestamp
      END
    RETURNING stored.order_uid, stored.stored_at <> now() AS replaced
  ), delivery AS (
    INSERT INTO public.deliveries (order_uid, name, phone, zip, city, address, region, email)
    SELECT * FROM unnest($1::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[]) AS input (order_uid, name, phone, zip, city, address, region, email) WHERE input.order_uid IN (SELECT order_uid FROM written)
    ON CONFLICT (order_uid) DO UPDATE SET name = excluded.name, phone = excluded.phone, zip = excluded.zip, city = excluded.city, address = excluded.address, region = excluded.region, email = excluded.email
  ), payment AS (
    INSERT INTO public.payments (order_uid, transaction, request_id, currency, provider, amount, payment_dt, bank, delivery_cost, goods_total, custom_fee)
    SELECT * FROM unnest($1::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::int8[], $28::int8[], $29::text[], $30::int8[], $31::int8[], $32::int8[]) AS input (order_uid, transaction, request_id, currency, provider, amount, payment_dt, bank, delivery_cost, goods_total, custom_fee) WHERE input.order_uid IN (SELECT order_uid FROM written)
    ON CONFLICT (order_uid) DO UPDATE SET transaction = excluded.transaction, request_id = excluded.request_id, currency = excluded.currency, provider = excluded.provider, amount = excluded.amount, payment_dt = excluded.payment_dt, bank = excluded.bank, delivery_cost = excluded.delivery_cost, goods_total = excluded.goods_total, custom_fee = excluded.custom_fee
  ), item AS (
    INSERT INTO public.items (order_uid, position, chrt_id, track_number, price, rid, name, sale, size, total_price, nm_id, brand, status)
    SELECT * FROM unnest($33::text[], $34::int4[], $35::int8[], $36::text[], $37::int8[], $38::text[], $39::text[], $40::int8[], $41::text[], $42::int8[], $43::int8[], $44::text[], $45::int8[]) AS input (order_uid, position, chrt_id, track_number, price, rid, name, sale, size, total_price, nm_id, brand, status) WHERE input.order_uid IN (SELECT order_uid FROM written)
    ON CONFLICT (order_uid, position) DO UPDATE SET chrt_id = excluded.chrt_id, track_number = excluded.track_number, price = excluded.price, rid = excluded.rid, name = excluded.name, sale = excluded.sale, size = excluded.size, total_price = excluded.total_price, nm_id = excluded.nm_id, brand = excluded.brand, status = excluded.status
  )
  SELECT input.order_uid AS key,
    CASE
      WHEN written.order_uid IS NOT NULL THEN 'written'
      WHEN (
        SELECT (stored.source_topic, stored.source_partition, stored.source_offset)
             = (input.source_topic, input.source_partition, input.source_offset)
        FROM public.orders AS stored WHERE stored.order_uid = input.order_uid
      ) THEN 'duplicate'
      ELSE 'stale'
    END AS outcome,
    coalesce(written.replaced, false) AS replaced
  FROM unnest($1::text[], $2::text[], $3::int4[], $4::int8[], $5::int8[]) AS input (order_uid, source_topic, source_partition, source_offset, source_timestamp) LEFT JOIN written ON written.order_uid = input.order_uid
