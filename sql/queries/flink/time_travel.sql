-- Flink (./pipeline sql, after SET 'execution.runtime-mode' = 'batch'). The hint takes a snapshot_id of trade$snapshots.
SELECT COUNT(*) AS trades, MAX(trade_timestamp) AS newest
FROM lake.upbit.trade /*+ OPTIONS('scan.snapshot-id' = '1') */;
