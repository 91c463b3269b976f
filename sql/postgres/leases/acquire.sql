-- Takes the lease when it is free, expired or already ours; gives a row only then.
INSERT INTO lease (name, owner, expires_at)
VALUES (%(name)s, %(owner)s, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
WHERE lease.owner = excluded.owner OR lease.expires_at < now()
RETURNING owner
