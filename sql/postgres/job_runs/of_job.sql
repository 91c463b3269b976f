-- The runs of a logical job, newest first. No limit: the newest checkpoint may be of an old run.
SELECT job_id, name, started_from, fingerprint, topic_ids, table_ids, submitted_at
FROM job_run WHERE name = %(name)s ORDER BY submitted_at DESC
