-- What the statistics of a table's data files say of a stream; no row is read. newest_event: the exchange's time as it was
-- sent. written_at: when a job wrote the newest file. hour_rows: of one hour, physical, before the merge by key.
SELECT
  max(CAST(regexp_match(max_value_stats, '[{ ]${TIME}=([0-9]+)')[1] AS BIGINT)) AS newest_event,
  max(CASE WHEN file_source = 'APPEND' THEN creation_time END) AS written_at,
  sum(CASE WHEN "partition" = '{${DT}, ${HH}}' THEN record_count ELSE 0 END) AS hour_rows
FROM "${TABLE}$files"
