-- One row a trade. Key = (code, sequential_id): the id is unique per code only. Partition = hour of the match, UTC.
-- Prices and volumes are narrow enough that price * volume keeps every digit: 17 + 20 + 1 = 38 digits, scale 16.
CREATE TABLE IF NOT EXISTS lake.upbit.trade (
  dt STRING NOT NULL,
  hh STRING NOT NULL,
  `code` STRING NOT NULL,
  sequential_id BIGINT NOT NULL,
  trade_timestamp BIGINT NOT NULL,
  `timestamp` BIGINT,
  trade_price DECIMAL(17, 8) NOT NULL,
  trade_volume DECIMAL(20, 8) NOT NULL,
  ask_bid STRING NOT NULL,
  prev_closing_price DECIMAL(17, 8),
  `change` STRING,
  change_price DECIMAL(17, 8),
  best_ask_price DECIMAL(17, 8),
  best_ask_size DECIMAL(20, 8),
  best_bid_price DECIMAL(17, 8),
  best_bid_size DECIMAL(20, 8),
  stream_type STRING,
  source STRING,
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  received_at TIMESTAMP_LTZ(3),
  PRIMARY KEY (dt, hh, `code`, sequential_id) NOT ENFORCED
) PARTITIONED BY (dt, hh) WITH (
  'bucket' = '2',
  'merge-engine' = 'deduplicate',
  'write-only' = 'true',
  'write-buffer-size' = '32mb',
  'file.format' = 'parquet',
  'target-file-size' = '${TARGET_FILE_SIZE_MB}mb',
  'snapshot.time-retained' = '${SNAPSHOT_RETENTION_H} h',
  'commit.user-prefix' = 'trade'
);
