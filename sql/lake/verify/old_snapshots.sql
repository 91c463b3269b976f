-- How many snapshots of a table there are, and how many of them are older than a moment.
SELECT
  count(*) AS snapshots,
  sum(CASE WHEN commit_time < to_timestamp_millis(${OLDER_THAN_MS}) THEN 1 ELSE 0 END) AS old
FROM "${TABLE}$snapshots"
