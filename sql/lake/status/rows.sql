-- Rows of every table.
SELECT 'ticker' AS name, count(*) AS n FROM ticker
UNION ALL SELECT 'trade', count(*) FROM trade
UNION ALL SELECT 'orderbook', count(*) FROM orderbook
UNION ALL SELECT 'candle_1m', count(*) FROM candle_1m
UNION ALL SELECT 'dead_letter', count(*) FROM dead_letter
