SELECT source_topic, source_partition, source_offset, source_timestamp FROM orders WHERE order_uid = $1
