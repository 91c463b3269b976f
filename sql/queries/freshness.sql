-- How old the newest event of each table is, and through which of its own clocks: exchange time and receive time.
SELECT 'trade' AS table_name, to_timestamp_millis(max(trade_timestamp)) AS newest_event, max(received_at) AS received,
  now() - to_timestamp_millis(max(trade_timestamp)) AS age
FROM trade WHERE dt >= (SELECT max(dt) FROM trade)
UNION ALL
SELECT 'ticker', to_timestamp_millis(max(ticker.timestamp)), max(received_at),
  now() - to_timestamp_millis(max(ticker.timestamp))
FROM ticker WHERE dt >= (SELECT max(dt) FROM ticker)
UNION ALL
SELECT 'orderbook', to_timestamp_millis(max(orderbook.timestamp)), max(received_at),
  now() - to_timestamp_millis(max(orderbook.timestamp))
FROM orderbook WHERE dt >= (SELECT max(dt) FROM orderbook)
