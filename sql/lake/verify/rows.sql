-- How many rows a reader sees in an hour, and how often a required column is NULL.
SELECT count(*) AS logical_rows, ${NULL_COUNTS}
FROM ${TABLE} ${VERSION}
WHERE dt = '${DT}' AND hh = '${HH}'
