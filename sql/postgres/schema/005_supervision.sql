-- What the supervising DAGs saw last, for whoever looks between two of their runs: a job's restarts within a window and
-- the growth of a counter need an earlier look. Their own memory is an Airflow asset.
CREATE TABLE supervision (
  subject text PRIMARY KEY,
  seen jsonb NOT NULL,
  at timestamptz NOT NULL
);
