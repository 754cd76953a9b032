  DELETE FROM public.items AS stored USING unnest($1::text[], $2::int4[]) AS kept (order_uid, count)
  WHERE stored.order_uid = kept.order_uid AND stored.position >= kept.count
