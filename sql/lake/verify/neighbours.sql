-- The exchange times around a run of offsets that Kafka no longer has: which hours can it have belonged to?
SELECT
  max(CASE WHEN kafka_offset < ${FROM_OFFSET} THEN "${TIME}" END) AS before_ms,
  min(CASE WHEN kafka_offset >= ${TO_OFFSET} THEN "${TIME}" END) AS after_ms
FROM ${TABLE}
WHERE kafka_partition = ${PARTITION} AND (received_at IS NULL OR received_at >= to_timestamp_millis(${BEGAN_MS}))
