  DELETE FROM items USING unnest($1::text[], $2::int4[]) AS kept (order_uid, count)
  WHERE items.order_uid = kept.order_uid AND items.position >= kept.count
