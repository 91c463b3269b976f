-- Which of some records of a topic stand in the dead letters.
SELECT "partition", "offset"
FROM ${DEAD_LETTER}
WHERE topic = '${TOPIC}' AND (${PLACES})
