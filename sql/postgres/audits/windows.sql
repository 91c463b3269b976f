SELECT topic, topic_id, kafka_partition AS partition, from_offset AS start, to_offset AS "end", began_ms, received_until
FROM coverage_window
WHERE topic = %(topic)s
ORDER BY at, kafka_partition, from_offset
