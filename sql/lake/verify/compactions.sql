-- The snapshots that compactions have made after a given one.
SELECT snapshot_id
FROM "${TABLE}$snapshots"
WHERE commit_kind = 'COMPACT' AND snapshot_id > ${AFTER}
ORDER BY snapshot_id
