-- Candles of a minute that differ from the trades of the hour. Open and close go by (trade_timestamp, sequential_id); every
-- operand is DECIMAL, price * volume is (17,8) * (20,8) = (38,16): no digit is lost.
WITH exact AS (
  SELECT
    code,
    trade_timestamp - trade_timestamp % 60000 AS minute_ms,
    first_value(trade_price ORDER BY trade_timestamp, sequential_id) AS opening_price,
    max(trade_price) AS high_price,
    min(trade_price) AS low_price,
    last_value(trade_price ORDER BY trade_timestamp, sequential_id) AS closing_price,
    sum(trade_volume) AS acc_trade_volume,
    sum(trade_price * trade_volume) AS acc_trade_price,
    count(*) AS trade_count
  FROM ${SOURCE} ${SOURCE_VERSION}
  WHERE dt = '${DT}' AND hh = '${HH}'
  GROUP BY code, trade_timestamp - trade_timestamp % 60000
),
stored AS (
  SELECT *, arrow_cast(candle_start, 'Int64') AS minute_ms
  FROM ${TABLE} ${VERSION}
  WHERE dt = '${DT}' AND hh = '${HH}'
)
SELECT
  coalesce(exact.code, stored.code) AS code,
  to_char(to_timestamp_millis(coalesce(exact.minute_ms, stored.minute_ms)), '%Y-%m-%dT%H:%M') AS candle_start,
  CASE
    WHEN stored.code IS NULL THEN 'no candle'
    WHEN exact.code IS NULL THEN 'no trade'
    WHEN exact.opening_price <> stored.opening_price THEN 'opening_price'
    WHEN exact.high_price <> stored.high_price THEN 'high_price'
    WHEN exact.low_price <> stored.low_price THEN 'low_price'
    WHEN exact.closing_price <> stored.closing_price THEN 'closing_price'
    WHEN exact.acc_trade_volume <> stored.acc_trade_volume THEN 'acc_trade_volume'
    WHEN exact.acc_trade_price <> stored.acc_trade_price THEN 'acc_trade_price'
    ELSE 'trade_count'
  END AS differs,
  count(*) OVER () AS total
FROM exact
FULL JOIN stored ON exact.code = stored.code AND exact.minute_ms = stored.minute_ms
WHERE exact.code IS NULL
  OR stored.code IS NULL
  OR exact.opening_price <> stored.opening_price
  OR exact.high_price <> stored.high_price
  OR exact.low_price <> stored.low_price
  OR exact.closing_price <> stored.closing_price
  OR exact.acc_trade_volume <> stored.acc_trade_volume
  OR exact.acc_trade_price <> stored.acc_trade_price
  OR exact.trade_count <> stored.trade_count
ORDER BY 1, 2
LIMIT 5
