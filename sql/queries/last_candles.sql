-- The newest one-minute candles, biggest turnover first. revision 1 = exact, 0 = provisional (the hour is still open).
SELECT candle_start, code, opening_price, high_price, low_price, closing_price, acc_trade_volume, acc_trade_price,
  trade_count, revision
FROM candle_1m
WHERE candle_start = (SELECT max(candle_start) FROM candle_1m)
ORDER BY acc_trade_price DESC
LIMIT 20
