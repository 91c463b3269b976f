SELECT topic, topic_id, kafka_partition AS partition, from_offset AS start, to_offset AS "end", kind,
  first_dt, first_hh, last_dt, last_hh, event_key, reason
FROM coverage_gap
WHERE topic = %(topic)s
ORDER BY topic_id, kafka_partition, from_offset
