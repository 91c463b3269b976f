-- What the maintenance and the verification remember: as commit 8afb9c2 made it, never changed.

-- The fingerprint of a partition after its hour was closed, and after it was verified.
CREATE TABLE hour_state (
  table_name text NOT NULL,
  dt text NOT NULL,
  hh text NOT NULL,
  closed_fingerprint text,
  closed_at timestamptz,
  verified_fingerprint text,
  verified_at timestamptz,
  PRIMARY KEY (table_name, dt, hh)
);

-- The newest verdict of a level on an hour of a table. level: structural, coverage.
CREATE TABLE verdict (
  level text NOT NULL,
  table_name text NOT NULL,
  dt text NOT NULL,
  hh text NOT NULL,
  status text NOT NULL CHECK (status IN ('green', 'red', 'partial', 'late', 'log_expired')),
  reason text NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  at timestamptz NOT NULL,
  PRIMARY KEY (level, table_name, dt, hh)
);
CREATE INDEX verdict_at ON verdict (at DESC);

-- Offsets [from_offset, to_offset) that were audited. A recreated topic has another topic_id and starts again.
-- began_ms: receive time of the topic's first record; rows received earlier belong to an older topic of that name.
CREATE TABLE coverage_window (
  topic text NOT NULL,
  topic_id text NOT NULL,
  kafka_partition integer NOT NULL,
  from_offset bigint NOT NULL,
  to_offset bigint NOT NULL,
  began_ms bigint NOT NULL,
  received_until timestamptz,
  at timestamptz NOT NULL,
  PRIMARY KEY (topic, topic_id, kafka_partition, from_offset)
);

-- Audited offsets that are not accounted for. kind: loss (record seen in Kafka, its key not in the lake), bad (cannot be
-- stored, sent to the dead letters, not yet there), log_expired (Kafka no longer has it).
CREATE TABLE coverage_gap (
  topic text NOT NULL,
  topic_id text NOT NULL,
  kafka_partition integer NOT NULL,
  from_offset bigint NOT NULL,
  to_offset bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('loss', 'bad', 'log_expired')),
  first_dt text NOT NULL,
  first_hh text NOT NULL,
  last_dt text NOT NULL,
  last_hh text NOT NULL,
  event_key text NOT NULL DEFAULT '',
  reason text NOT NULL DEFAULT '',
  found_at timestamptz NOT NULL,
  PRIMARY KEY (topic, topic_id, kafka_partition, from_offset)
);

-- When a piece of maintenance that is due once a day was last done.
CREATE TABLE maintenance_run (
  name text PRIMARY KEY,
  at timestamptz NOT NULL
);
