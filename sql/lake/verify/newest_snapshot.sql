-- The newest snapshot of a table.
SELECT max(snapshot_id) AS newest
FROM "${TABLE}$snapshots"
