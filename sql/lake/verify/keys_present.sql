-- Which of some keys an hour of a table holds.
SELECT wanted.id
FROM (VALUES ${WANTED}) AS wanted(id, ${KEY})
JOIN (SELECT ${KEY} FROM ${TABLE} WHERE ${HOURS}) AS held ON ${SAME_KEY}
