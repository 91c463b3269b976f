INSERT INTO verdict (level, table_name, dt, hh, status, reason, details, at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (level, table_name, dt, hh)
DO UPDATE SET status = excluded.status, reason = excluded.reason, details = excluded.details, at = excluded.at;
