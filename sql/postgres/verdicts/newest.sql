-- The newest verdicts (PostgreSQL).
SELECT level, table_name, dt, hh, status, reason, at
FROM verdict
ORDER BY dt DESC, hh DESC, table_name, level
LIMIT 20
