DELETE FROM job_run WHERE job_id = %(job_id)s
