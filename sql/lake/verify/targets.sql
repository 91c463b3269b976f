-- Per Kafka partition the first offset whose event lies past an hour's end and grace.
SELECT kafka_partition, min(kafka_offset) AS first_past
FROM ${TABLE}
WHERE (${HOURS}) AND "${TIME}" >= ${BOUND_MS} AND (received_at IS NULL OR received_at >= to_timestamp_millis(${BEGAN_MS}))
GROUP BY kafka_partition
