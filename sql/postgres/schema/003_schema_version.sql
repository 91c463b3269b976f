-- Which of these files the database has seen. Those before this one are recognised by their tables where commit
-- 8afb9c2 made them, and recorded together with it.
CREATE TABLE schema_version (
  version integer PRIMARY KEY,
  name text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);
