SELECT topic, topic_id, kafka_partition, from_offset, to_offset, began_ms, received_until FROM coverage_window
WHERE topic = %s
ORDER BY at, kafka_partition, from_offset;
