INSERT INTO hour_state (table_name, dt, hh, verified_fingerprint, verified_at)
VALUES (%(table)s, %(dt)s, %(hh)s, %(fingerprint)s, %(at)s)
ON CONFLICT (table_name, dt, hh)
DO UPDATE SET verified_fingerprint = excluded.verified_fingerprint, verified_at = excluded.verified_at
