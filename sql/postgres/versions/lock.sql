-- One migration at a time; the lock ends with the transaction. Whoever waits longer for it, or for a table, gives up.
SELECT set_config('lock_timeout', '60s', true), pg_advisory_xact_lock(%(lock)s)
