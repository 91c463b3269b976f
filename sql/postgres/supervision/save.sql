INSERT INTO supervision (subject, seen, at)
VALUES (%(subject)s, %(seen)s, now())
ON CONFLICT (subject) DO UPDATE SET seen = EXCLUDED.seen, at = EXCLUDED.at
