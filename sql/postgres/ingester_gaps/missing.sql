-- What is missing because the ingester missed it. Trades are fetched again: only what REST does not reach is missing.
SELECT cause, last_seen_ms, first_seen_ms, code
FROM ingester_gap
WHERE stream = %(stream)s
  AND (closed_at IS NULL OR (first_seen_ms IS NOT NULL AND (stream <> 'trade' OR cause = 'unreachable')))
ORDER BY last_seen_ms
