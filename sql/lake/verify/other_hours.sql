-- Keys of an hour that stand in another hour too.
SELECT ${OTHER_KEY}, other.dt || 'T' || other.hh AS other_hour, count(*) OVER () AS total
FROM (SELECT ${KEY} FROM ${TABLE} ${VERSION} WHERE dt = '${DT}' AND hh = '${HH}') AS here
JOIN (SELECT ${KEY}, dt, hh FROM ${TABLE} ${VERSION} WHERE ${HOURS}) AS other ON ${SAME_KEY}
ORDER BY ${OTHER_KEY}
LIMIT 5
