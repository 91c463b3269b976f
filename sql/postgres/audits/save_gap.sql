INSERT INTO coverage_gap
  (topic, topic_id, kafka_partition, from_offset, to_offset, kind, first_dt, first_hh, last_dt, last_hh, event_key,
   reason, found_at)
VALUES (%(topic)s, %(topic_id)s, %(partition)s, %(start)s, %(end)s, %(kind)s, %(first_dt)s, %(first_hh)s, %(last_dt)s,
  %(last_hh)s, %(event_key)s, %(reason)s, %(at)s)
