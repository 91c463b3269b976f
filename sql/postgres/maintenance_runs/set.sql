INSERT INTO maintenance_run (name, at) VALUES (%(name)s, %(at)s) ON CONFLICT (name) DO UPDATE SET at = excluded.at
