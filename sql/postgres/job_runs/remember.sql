INSERT INTO job_run (job_id, name, started_from, fingerprint, topic_ids, table_ids)
VALUES (%(job_id)s, %(name)s, %(started_from)s, %(fingerprint)s, %(topic_ids)s, %(table_ids)s)
ON CONFLICT (job_id) DO UPDATE SET
  fingerprint = excluded.fingerprint, topic_ids = excluded.topic_ids, table_ids = excluded.table_ids
