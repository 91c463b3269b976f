-- When the source first spoke: the oldest event that some hours of a table hold and that is no SNAPSHOT (those repeat
-- what was before) and no REST trade (those repair what was missed).
SELECT min("${TIME}") AS first_event_ms
FROM ${TABLE}
WHERE (${HOURS}) AND (stream_type IS DISTINCT FROM 'SNAPSHOT') AND (source IS DISTINCT FROM 'rest')
