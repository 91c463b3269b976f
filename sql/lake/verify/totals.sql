-- What a compaction must not change: the rows of an hour, the sum of every number, the count of every other value.
SELECT count(*) AS logical_rows, ${TOTALS}
FROM ${TABLE} ${VERSION}
WHERE dt = '${DT}' AND hh = '${HH}'
