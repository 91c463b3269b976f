-- Whether any job ever ran: before the first bootstrap there is nothing to supervise, close or verify.
SELECT EXISTS (SELECT 1 FROM job_run) AS bootstrapped
