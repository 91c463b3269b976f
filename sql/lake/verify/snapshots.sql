-- The newest snapshot of a table, and its newest one that a compaction made.
SELECT
  max(snapshot_id) AS newest,
  max(CASE WHEN commit_kind = 'COMPACT' THEN snapshot_id END) AS compacted,
  max(CASE WHEN commit_kind = 'APPEND' THEN commit_time END) AS appended_at
FROM "${TABLE}$snapshots"
