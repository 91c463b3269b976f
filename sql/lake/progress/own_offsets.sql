-- Per Kafka partition the first and last offset of an hour's rows. Trades that came by REST lie far from their hour's
-- other offsets.
SELECT kafka_partition, min(kafka_offset) AS first_offset, max(kafka_offset) AS last_offset
FROM ${TABLE}
WHERE (${HOURS}) AND (${SINCE}) AND (received_at IS NULL OR received_at >= to_timestamp_millis(${BEGAN_MS}))
GROUP BY kafka_partition
