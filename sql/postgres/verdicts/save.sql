INSERT INTO verdict (level, table_name, dt, hh, market, status, reason, details, at)
VALUES (%(level)s, %(table)s, %(dt)s, %(hh)s, %(market)s, %(status)s, %(reason)s, %(details)s, %(at)s)
ON CONFLICT (level, table_name, dt, hh, market)
DO UPDATE SET status = excluded.status, reason = excluded.reason, details = excluded.details, at = excluded.at
