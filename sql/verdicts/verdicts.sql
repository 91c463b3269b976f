SELECT level, table_name, dt, hh, status, reason, details FROM verdict
WHERE %s::text IS NULL OR level = %s
ORDER BY dt, hh, table_name, level;
