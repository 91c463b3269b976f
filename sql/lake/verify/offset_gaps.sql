-- Runs of offsets [gap_start, gap_end) of one Kafka partition that neither its table nor the dead letters hold, as far
-- as rows lie on both sides inside [from, to): the window's own edges are added as rows. REPLACED rows are not seen
-- here: whoever asks reads the records of the gaps and looks for their keys.
WITH held AS (
  SELECT kafka_offset AS held_offset
  FROM ${TABLE}
  WHERE (${HOURS}) AND kafka_partition = ${PARTITION} AND kafka_offset >= ${FROM_OFFSET} AND kafka_offset < ${TO_OFFSET}
    AND (received_at IS NULL OR received_at >= to_timestamp_millis(${BEGAN_MS}))
  UNION ALL
  SELECT "offset" AS held_offset
  FROM ${DEAD_LETTER}
  WHERE topic = '${TOPIC}' AND "partition" = ${PARTITION} AND "offset" >= ${FROM_OFFSET} AND "offset" < ${TO_OFFSET}
    AND (received_at IS NULL OR received_at >= to_timestamp_millis(${BEGAN_MS}))
  UNION ALL
  SELECT CAST(${FROM_OFFSET} - 1 AS BIGINT) AS held_offset
  UNION ALL
  SELECT CAST(${TO_OFFSET} AS BIGINT) AS held_offset
)
SELECT held_offset + 1 AS gap_start, next_offset AS gap_end
FROM (SELECT held_offset, lead(held_offset) OVER (ORDER BY held_offset) AS next_offset FROM held)
WHERE next_offset > held_offset + 1
ORDER BY 1
