INSERT INTO hour_state (table_name, dt, hh, closed_fingerprint, closed_at)
VALUES (%(table)s, %(dt)s, %(hh)s, %(fingerprint)s, %(at)s)
ON CONFLICT (table_name, dt, hh)
DO UPDATE SET closed_fingerprint = excluded.closed_fingerprint, closed_at = excluded.closed_at
