-- Trades: Kafka -> lake, with the provisional one-minute candle and the dead letters beside them.
-- The candle is a plain GROUP BY without a watermark: no late row is dropped, no quiet partition holds a window open,
-- any date can be replayed. Its state is forgotten an hour after a minute's last trade; what comes later is counted
-- from one again and loses against the fuller row (sequence.field). The hourly pass recomputes the hour exactly.
SET 'table.exec.state.ttl' = '1 h';
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '2 s';
SET 'table.exec.mini-batch.size' = '5000';

-- SNAPSHOT trades repeat what was published before: they serve liveness and gap search, and are never stored.
-- A record written by hand may lack headers: its receive time is then Kafka's, its source 'unknown'.
CREATE TEMPORARY VIEW trade_row AS
SELECT
  *,
  DATE_FORMAT(TO_TIMESTAMP_LTZ(trade_timestamp, 3), 'yyyy-MM-dd') AS dt,
  DATE_FORMAT(TO_TIMESTAMP_LTZ(trade_timestamp, 3), 'HH') AS hh,
  COALESCE(`code`, market) AS event_code,
  COALESCE(DECODE(headers['source'], 'UTF-8'), 'unknown') AS record_source,
  COALESCE(TO_TIMESTAMP_LTZ(TRY_CAST(DECODE(headers['recv_ns'], 'UTF-8') AS BIGINT) / 1000000, 3), kafka_time) AS received_at
FROM kafka_trade
WHERE COALESCE(`code`, market) IS NOT NULL
  AND TO_TIMESTAMP_LTZ(trade_timestamp, 3) IS NOT NULL
  AND sequential_id IS NOT NULL
  AND trade_price IS NOT NULL
  AND trade_volume IS NOT NULL
  AND ask_bid IS NOT NULL
  AND stream_type IS DISTINCT FROM 'SNAPSHOT';

-- MIN and MAX of (time, sequential_id, price) as one text: the first and last trade by the exchange's order, whatever
-- the order of arrival. 16 + 20 digits keep the text's order equal to the numbers'.
CREATE TEMPORARY VIEW candle_row AS
SELECT
  dt,
  hh,
  event_code,
  CAST(TO_TIMESTAMP_LTZ(trade_timestamp - MOD(trade_timestamp, 60000), 3) AS TIMESTAMP(3)) AS candle_start,
  CONCAT(
    LPAD(CAST(trade_timestamp AS STRING), 16, '0'), LPAD(CAST(sequential_id AS STRING), 20, '0'),
    '|', CAST(trade_price AS STRING)) AS packed_price,
  trade_price,
  trade_volume
FROM trade_row;

-- A dead letter's place is its origin's where it had one, and its hour the origin's, so that sending it twice writes
-- one row; else its own place and hour in the dead-letter topic.
CREATE TEMPORARY VIEW dead_letter_row AS
SELECT
  *,
  DECODE(headers['origin_topic'], 'UTF-8') AS origin_topic,
  TRY_CAST(DECODE(headers['origin_partition'], 'UTF-8') AS INT) AS origin_partition,
  TRY_CAST(DECODE(headers['origin_offset'], 'UTF-8') AS BIGINT) AS origin_offset,
  COALESCE(
    TO_TIMESTAMP_LTZ(TRY_CAST(DECODE(headers['origin_timestamp'], 'UTF-8') AS BIGINT), 3), kafka_time) AS origin_time
FROM kafka_dead_letter;

EXECUTE STATEMENT SET
BEGIN
INSERT INTO lake.upbit.trade
SELECT
  dt,
  hh,
  event_code,
  sequential_id,
  trade_timestamp,
  `timestamp`,
  trade_price,
  trade_volume,
  ask_bid,
  prev_closing_price,
  `change`,
  change_price,
  best_ask_price,
  best_ask_size,
  best_bid_price,
  best_bid_size,
  stream_type,
  record_source,
  kafka_partition,
  kafka_offset,
  received_at
FROM trade_row;

INSERT INTO lake.upbit.candle_1m
SELECT
  dt,
  hh,
  event_code,
  candle_start,
  CAST(SPLIT_INDEX(MIN(packed_price), '|', 1) AS DECIMAL(17, 8)),
  MAX(trade_price),
  MIN(trade_price),
  CAST(SPLIT_INDEX(MAX(packed_price), '|', 1) AS DECIMAL(17, 8)),
  SUM(trade_volume),
  SUM(trade_price * trade_volume),
  COUNT(*),
  0
FROM candle_row
GROUP BY dt, hh, event_code, candle_start;

INSERT INTO lake.upbit.dead_letter
SELECT
  DATE_FORMAT(origin_time, 'yyyy-MM-dd'),
  DATE_FORMAT(origin_time, 'HH'),
  CASE WHEN placed THEN origin_topic ELSE '${TOPIC_DEAD_LETTER}' END,
  CASE WHEN placed THEN origin_partition ELSE kafka_partition END,
  CASE WHEN placed THEN origin_offset ELSE kafka_offset END,
  DECODE(headers['reason'], 'UTF-8'),
  payload,
  record_key,
  COALESCE(DECODE(headers['source'], 'UTF-8'), 'unknown'),
  kafka_partition,
  kafka_offset,
  COALESCE(TO_TIMESTAMP_LTZ(TRY_CAST(DECODE(headers['recv_ns'], 'UTF-8') AS BIGINT) / 1000000, 3), kafka_time)
FROM (
  SELECT
    *,
    (origin_topic IS NOT NULL AND origin_partition IS NOT NULL AND origin_offset IS NOT NULL) AS placed
  FROM dead_letter_row
);
END;
