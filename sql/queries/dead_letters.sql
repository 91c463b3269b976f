-- What no stream could take, newest first, with where it stood and why.
SELECT dt, hh, topic, "partition", "offset", reason, record_key, payload
FROM dead_letter
ORDER BY dt DESC, hh DESC, "offset" DESC
LIMIT 20
