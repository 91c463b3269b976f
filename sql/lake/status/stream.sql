-- The newest event of a stream (milliseconds since the epoch) and its rows of the running hour.
SELECT
  max(${TIME}) AS newest,
  sum(CASE WHEN dt = '${DT}' AND hh = '${HH}' THEN 1 ELSE 0 END) AS hour_rows
FROM ${TABLE}
WHERE dt >= (SELECT max(dt) FROM ${TABLE})
