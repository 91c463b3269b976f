-- Rows whose exchange time is not of the hour they stand in. None in any hour = no key with that time in two hours.
SELECT ${KEY}, count(*) OVER () AS total
FROM ${TABLE} ${VERSION}
WHERE dt = '${DT}' AND hh = '${HH}' AND (${EVENT_MS} < ${START_MS} OR ${EVENT_MS} >= ${END_MS})
ORDER BY ${KEY}
LIMIT 5
