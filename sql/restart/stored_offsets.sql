-- How far each Kafka partition is in the lake. A commit takes all offsets below it, so the highest is the frontier.
SELECT kafka_partition, MAX(kafka_offset) FROM `${CATALOG}`.`${DATABASE}`.`${TABLE}` WHERE ${HOURS}
GROUP BY kafka_partition
