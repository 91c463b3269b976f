-- The newest event (exchange's clock, ms) of a table, from the statistics that every data file carries: no row is read.
-- NULL without files, or where no file has them.
SELECT max(CAST(regexp_match(max_value_stats, '[{ ]${TIME}=([0-9]+)')[1] AS BIGINT)) AS newest_event_ms
FROM "${TABLE}$files"
