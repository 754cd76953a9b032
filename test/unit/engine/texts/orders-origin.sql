SELECT source_topic, source_partition, source_offset, source_timestamp FROM public.orders WHERE order_uid = $1
