SELECT topic, topic_id, kafka_partition, from_offset, to_offset, kind, first_dt, first_hh, last_dt, last_hh,
  event_key, reason
FROM coverage_gap
WHERE topic = %s
ORDER BY topic_id, kafka_partition, from_offset;
