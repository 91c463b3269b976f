-- Flink, batch. The candles of closed hours, exact: recomputed from the stored trades, each trade once. Revision 1 wins
-- over the provisional row (0) of the stream whatever comes later; open and close go by (trade_timestamp, id).
INSERT INTO lake.${DATABASE}.${TABLE}
SELECT
  dt,
  hh,
  `code`,
  candle_start,
  CAST(SPLIT_INDEX(MIN(packed_price), '|', 1) AS DECIMAL(17, 8)),
  MAX(trade_price),
  MIN(trade_price),
  CAST(SPLIT_INDEX(MAX(packed_price), '|', 1) AS DECIMAL(17, 8)),
  SUM(trade_volume),
  SUM(trade_price * trade_volume),
  COUNT(*),
  1
FROM (
  SELECT
    dt,
    hh,
    `code`,
    trade_price,
    trade_volume,
    CAST(TO_TIMESTAMP_LTZ(trade_timestamp - MOD(trade_timestamp, 60000), 3) AS TIMESTAMP(3)) AS candle_start,
    CONCAT(
      LPAD(CAST(trade_timestamp AS STRING), 16, '0'), LPAD(CAST(sequential_id AS STRING), 20, '0'),
      '|', CAST(trade_price AS STRING)) AS packed_price
  FROM lake.${DATABASE}.${SOURCE}
  WHERE ${HOURS}
)
GROUP BY dt, hh, `code`, candle_start;
