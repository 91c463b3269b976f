-- The newest candles, the most traded first.
SELECT code, candle_start, opening_price, high_price, low_price, closing_price, acc_trade_volume, trade_count
FROM candle_1m
ORDER BY candle_start DESC, acc_trade_price DESC
LIMIT 8
