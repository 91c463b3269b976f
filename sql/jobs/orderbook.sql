-- Order books: Kafka -> lake. Some books carry microseconds (above 1e15): corrected before they decide dt and hh.
-- A record written by hand may lack headers: its receive time is then Kafka's, its source 'unknown'.
CREATE TEMPORARY VIEW orderbook_row AS
SELECT
  *,
  CASE WHEN `timestamp` > 1000000000000000 THEN `timestamp` / 1000 ELSE `timestamp` END AS event_ms,
  COALESCE(`code`, market) AS event_code,
  COALESCE(DECODE(headers['source'], 'UTF-8'), 'unknown') AS record_source,
  COALESCE(TO_TIMESTAMP_LTZ(TRY_CAST(DECODE(headers['recv_ns'], 'UTF-8') AS BIGINT) / 1000000, 3), kafka_time) AS received_at
FROM kafka_orderbook;

-- A SNAPSHOT repeats what was published before: one older than the bound would reopen hours that are closed.
INSERT INTO lake.upbit.orderbook
SELECT
  DATE_FORMAT(TO_TIMESTAMP_LTZ(event_ms, 3), 'yyyy-MM-dd'),
  DATE_FORMAT(TO_TIMESTAMP_LTZ(event_ms, 3), 'HH'),
  event_code,
  event_ms,
  total_ask_size,
  total_bid_size,
  orderbook_units,
  `level`,
  stream_type,
  record_source,
  kafka_partition,
  kafka_offset,
  received_at
FROM orderbook_row
WHERE event_code IS NOT NULL
  AND TO_TIMESTAMP_LTZ(event_ms, 3) IS NOT NULL
  AND orderbook_units IS NOT NULL
  AND (stream_type IS DISTINCT FROM 'SNAPSHOT'
    OR received_at <= TO_TIMESTAMP_LTZ(event_ms + ${SNAPSHOT_MAX_AGE_MS}, 3));
