-- Tickers: Kafka -> lake. dt and hh come from the exchange's time, so a replayed ticker lands on its own row.
-- A record written by hand may lack headers: its receive time is then Kafka's, its source 'unknown'.
CREATE TEMPORARY VIEW ticker_row AS
SELECT
  *,
  TO_TIMESTAMP_LTZ(`timestamp`, 3) AS event_time,
  COALESCE(`code`, market) AS event_code,
  COALESCE(DECODE(headers['source'], 'UTF-8'), 'unknown') AS record_source,
  COALESCE(TO_TIMESTAMP_LTZ(TRY_CAST(DECODE(headers['recv_ns'], 'UTF-8') AS BIGINT) / 1000000, 3), kafka_time) AS received_at
FROM kafka_ticker;

-- A SNAPSHOT repeats what was published before: one older than the bound would reopen hours that are closed.
INSERT INTO lake.upbit.ticker
SELECT
  DATE_FORMAT(event_time, 'yyyy-MM-dd'),
  DATE_FORMAT(event_time, 'HH'),
  event_code,
  `timestamp`,
  acc_trade_volume,
  opening_price,
  high_price,
  low_price,
  trade_price,
  prev_closing_price,
  `change`,
  change_price,
  signed_change_price,
  change_rate,
  signed_change_rate,
  trade_volume,
  acc_trade_volume_24h,
  acc_trade_price,
  acc_trade_price_24h,
  trade_date,
  trade_time,
  trade_timestamp,
  ask_bid,
  acc_ask_volume,
  acc_bid_volume,
  highest_52_week_price,
  highest_52_week_date,
  lowest_52_week_price,
  lowest_52_week_date,
  market_state,
  is_trading_suspended,
  delisting_date,
  market_warning,
  stream_type,
  record_source,
  kafka_partition,
  kafka_offset,
  received_at
FROM ticker_row
WHERE event_code IS NOT NULL
  AND event_time IS NOT NULL
  AND acc_trade_volume IS NOT NULL
  AND trade_price IS NOT NULL
  AND (stream_type IS DISTINCT FROM 'SNAPSHOT'
    OR received_at <= TO_TIMESTAMP_LTZ(`timestamp` + ${SNAPSHOT_MAX_AGE_MS}, 3));
