-- A table as it was at a moment (UTC). Put a commit_time of snapshots.sql, or any later moment, in its place.
SELECT count(*) AS trades, max(trade_timestamp) AS newest
FROM trade TIMESTAMP AS OF '2099-01-01 00:00:00'
