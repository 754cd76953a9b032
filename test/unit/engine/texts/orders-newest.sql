  SELECT o.order_uid, o.track_number, o.entry, o.locale, o.internal_signature, o.customer_id, o.delivery_service,
    o.shardkey, o.sm_id, (extract(epoch FROM o.date_created) * 1000000)::int8 AS created_micros, o.oof_shard,
    o.source_topic, o.source_partition, o.source_offset, o.source_timestamp,
    d.name, d.phone, d.zip, d.city, d.address, d.region, d.email,
    p.transaction, p.request_id, p.currency, p.provider, p.amount, p.payment_dt, p.bank, p.delivery_cost,
    p.goods_total, p.custom_fee,
    (SELECT coalesce(json_agg(json_build_object(
        'chrt_id', i.chrt_id, 'track_number', i.track_number, 'price', i.price, 'rid', i.rid, 'name', i.name,
        'sale', i.sale, 'size', i.size, 'total_price', i.total_price, 'nm_id', i.nm_id, 'brand', i.brand,
        'status', i.status) ORDER BY i.position), '[]')
      FROM public.items AS i WHERE i.order_uid = o.order_uid) AS items
  FROM public.orders AS o JOIN public.deliveries AS d USING (order_uid) JOIN public.payments AS p USING (order_uid) WHERE (o.date_created, o.order_uid) < ($2::timestamptz, $3)
      ORDER BY o.date_created DESC, o.order_uid DESC LIMIT $1
