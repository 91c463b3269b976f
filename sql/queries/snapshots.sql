-- The moments that time travel reaches: one snapshot a commit. COMPACT = rewritten by the maintenance, rows unchanged.
SELECT snapshot_id, commit_kind, commit_time, total_record_count, delta_record_count
FROM "trade$snapshots"
ORDER BY snapshot_id DESC
LIMIT 20
