-- The data files of an hour, by bucket. Level 0 = written since the last full compaction.
SELECT
  bucket,
  count(*) AS files,
  sum(file_size_in_bytes) AS bytes,
  sum(record_count) - sum(coalesce(delete_row_count, 0)) AS physical_rows,
  min(level) AS lowest_level
FROM "${TABLE}$files" ${VERSION}
WHERE "partition" = '{${DT}, ${HH}}'
GROUP BY bucket
