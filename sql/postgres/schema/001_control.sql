-- What the control plane remembers between runs, in the database `pipeline`: as commit 8afb9c2 made it, never changed.

-- Who may change the jobs or the ingester right now. Bootstrap holds it; the supervising DAGs honour it.
CREATE TABLE lease (
  name text PRIMARY KEY,
  owner text NOT NULL,
  expires_at timestamptz NOT NULL
);

-- One row an incident, not one a minute: at most one open alarm a subject.
CREATE TABLE alarm (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject text NOT NULL,
  text text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz
);
CREATE UNIQUE INDEX alarm_open ON alarm (subject) WHERE closed_at IS NULL;

-- Which Flink job id belongs to which logical job: a fresh JobManager knows none of the earlier ones, and their
-- checkpoints are found by id. topic_ids and table_ids tell whether what the job reads and writes was recreated.
CREATE TABLE job_run (
  job_id text PRIMARY KEY,
  name text NOT NULL,
  started_from text NOT NULL,
  fingerprint text NOT NULL,
  topic_ids jsonb NOT NULL,
  table_ids jsonb NOT NULL,
  submitted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX job_run_name ON job_run (name, submitted_at DESC);

-- What the ingester says that it missed of a stream: first_seen_ms is empty until an event came again, closed_at until the
-- gap is over. Both in ms of the exchange's clock. Closed without first_seen_ms: nothing was missed, or trades were
-- fetched again. `code` stands where one code's trades are meant (causes refetch, unreachable).
CREATE TABLE ingester_gap (
  stream text NOT NULL,
  code text NOT NULL,
  last_seen_ms bigint NOT NULL,
  first_seen_ms bigint,
  cause text NOT NULL,
  codes integer NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz,
  PRIMARY KEY (stream, code, last_seen_ms)
);
