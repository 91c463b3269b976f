-- The (dt, hh) of one table as Paimon counts them. record_count is physical, before the merge by key.
SELECT
  "partition" AS name,
  record_count,
  file_count,
  file_size_in_bytes AS size_bytes,
  last_update_time AS updated_at
FROM "${TABLE}$partitions" ${VERSION}
