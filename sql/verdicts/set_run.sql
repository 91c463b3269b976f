INSERT INTO maintenance_run (name, at) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET at = excluded.at;
