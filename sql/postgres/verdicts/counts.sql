-- How many hours of tables have which verdict.
SELECT level, status, count(*) AS hours
FROM verdict
WHERE market = ''
GROUP BY level, status
ORDER BY level, status
