-- The rows of a table.
SELECT '${TABLE}' AS name, count(*) AS n FROM ${TABLE}
