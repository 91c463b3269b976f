INSERT INTO coverage_window
  (topic, topic_id, kafka_partition, from_offset, to_offset, began_ms, received_until, at)
VALUES (%(topic)s, %(topic_id)s, %(partition)s, %(start)s, %(end)s, %(began_ms)s, %(received_until)s, %(at)s)
ON CONFLICT (topic, topic_id, kafka_partition, from_offset)
DO UPDATE SET to_offset = greatest(coverage_window.to_offset, excluded.to_offset),
  received_until = excluded.received_until, at = excluded.at
