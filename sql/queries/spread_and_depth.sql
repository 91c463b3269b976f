-- Spread and depth from the newest book of each market: best level first, as the exchange sends it.
WITH newest AS (SELECT dt, hh FROM orderbook ORDER BY dt DESC, hh DESC LIMIT 1),
ranked AS (
  SELECT code, orderbook.timestamp, orderbook_units[1] AS best, total_ask_size, total_bid_size,
    row_number() OVER (PARTITION BY code ORDER BY orderbook.timestamp DESC) AS rank
  FROM orderbook
  JOIN newest ON orderbook.dt = newest.dt AND orderbook.hh = newest.hh
)
SELECT
  code,
  to_timestamp_millis(ranked.timestamp) AS book_time,
  best['bid_price'] AS bid_price,
  best['ask_price'] AS ask_price,
  best['ask_price'] - best['bid_price'] AS spread,
  total_bid_size,
  total_ask_size
FROM ranked
WHERE rank = 1
ORDER BY code
LIMIT 20
