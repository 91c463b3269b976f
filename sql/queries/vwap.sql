-- Volume-weighted average price of each market over the newest hour. Sums are exact; the division is rounded to 8 digits.
WITH newest AS (SELECT dt, hh FROM trade ORDER BY dt DESC, hh DESC LIMIT 1)
SELECT
  trade.code,
  count(*) AS trades,
  sum(trade_volume) AS volume,
  sum(trade_price * trade_volume) AS value,
  CAST(CAST(sum(trade_price * trade_volume) AS DECIMAL(30, 8)) / CAST(sum(trade_volume) AS DECIMAL(20, 8))
    AS DECIMAL(17, 8)) AS vwap
FROM trade
JOIN newest ON trade.dt = newest.dt AND trade.hh = newest.hh
GROUP BY trade.code
ORDER BY value DESC
LIMIT 20
