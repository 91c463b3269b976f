-- A table as it was at a snapshot. Put a snapshot_id of snapshots.sql in the place of 1.
SELECT count(*) AS trades, max(trade_timestamp) AS newest
FROM trade VERSION AS OF 1
