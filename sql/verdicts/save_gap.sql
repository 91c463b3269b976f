INSERT INTO coverage_gap
  (topic, topic_id, kafka_partition, from_offset, to_offset, kind, first_dt, first_hh, last_dt, last_hh, event_key,
   reason, found_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);
