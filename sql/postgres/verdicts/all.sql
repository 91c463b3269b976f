-- All verdicts (of a level), oldest hour first.
SELECT level, table_name AS table, dt, hh, market, status, reason, details FROM verdict
WHERE %(level)s::text IS NULL OR level = %(level)s
ORDER BY dt, hh, table_name, level, market
