-- Per Kafka partition the newest exchange time (ms) that some hours of a table hold.
SELECT kafka_partition, max("${TIME}") AS newest_event_ms
FROM ${TABLE}
WHERE ${HOURS}
GROUP BY kafka_partition
