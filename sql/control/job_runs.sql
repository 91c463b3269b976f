-- The runs of a logical job, newest first. Old ones have no checkpoint left worth a listing.
SELECT job_id, name, started_from, fingerprint, topic_ids, table_ids, submitted_at
FROM job_run WHERE name = %(name)s ORDER BY submitted_at DESC LIMIT 20
