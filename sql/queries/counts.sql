-- Rows of each hour, newest first, as a reader sees them (merged by key).
SELECT dt, hh, count(*) AS trades, count(DISTINCT code) AS markets, sum(trade_price * trade_volume) AS value
FROM trade
GROUP BY dt, hh
ORDER BY dt DESC, hh DESC
LIMIT 24
