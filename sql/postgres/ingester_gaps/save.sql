-- Takes over the ingester's report (a JSON array of its gaps, first_seen_ms = 0: still open). May run again.
WITH reported AS (
  SELECT DISTINCT ON (stream, code, last_seen_ms)
    stream, COALESCE(code, '') AS code, last_seen_ms, NULLIF(first_seen_ms, 0) AS first_seen_ms, cause, codes
  FROM jsonb_to_recordset(%(gaps)s::jsonb)
    AS gap (stream text, code text, last_seen_ms bigint, first_seen_ms bigint, cause text, codes integer)
  -- One that a kill made the ingester write twice.
  ORDER BY stream, code, last_seen_ms, first_seen_ms DESC
), over AS (
  UPDATE ingester_gap AS known SET closed_at = now()
  WHERE closed_at IS NULL AND NOT EXISTS (
    SELECT FROM reported
    WHERE (reported.stream, reported.code, reported.last_seen_ms) = (known.stream, known.code, known.last_seen_ms)
  )
)
INSERT INTO ingester_gap AS known (stream, code, last_seen_ms, first_seen_ms, cause, codes, closed_at)
SELECT stream, code, last_seen_ms, first_seen_ms, cause, codes, CASE WHEN first_seen_ms IS NOT NULL THEN now() END
FROM reported
ON CONFLICT (stream, code, last_seen_ms) DO UPDATE
SET first_seen_ms = EXCLUDED.first_seen_ms, cause = EXCLUDED.cause, codes = EXCLUDED.codes,
  closed_at = EXCLUDED.closed_at
WHERE (known.first_seen_ms, known.closed_at IS NULL) IS DISTINCT FROM (EXCLUDED.first_seen_ms, EXCLUDED.closed_at IS NULL)
