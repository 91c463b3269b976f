INSERT INTO hour_state (table_name, dt, hh, verified_fingerprint, verified_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (table_name, dt, hh)
DO UPDATE SET verified_fingerprint = excluded.verified_fingerprint, verified_at = excluded.verified_at;
