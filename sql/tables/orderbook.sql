-- One row a book: the exchange sends it whole each time, best level first.
CREATE TABLE IF NOT EXISTS lake.upbit.orderbook (
  dt STRING NOT NULL,
  hh STRING NOT NULL,
  `code` STRING NOT NULL,
  `timestamp` BIGINT NOT NULL,
  total_ask_size DECIMAL(24, 8),
  total_bid_size DECIMAL(24, 8),
  orderbook_units ARRAY<ROW<
    ask_price DECIMAL(17, 8), bid_price DECIMAL(17, 8),
    ask_size DECIMAL(20, 8), bid_size DECIMAL(20, 8)>> NOT NULL,
  `level` DECIMAL(20, 8),
  stream_type STRING,
  source STRING,
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  received_at TIMESTAMP_LTZ(3),
  PRIMARY KEY (dt, hh, `code`, `timestamp`) NOT ENFORCED
) PARTITIONED BY (dt, hh) WITH (
  'bucket' = '2',
  'merge-engine' = 'deduplicate',
  'write-only' = 'true',
  'write-buffer-size' = '48mb',
  'file.format' = 'parquet',
  'target-file-size' = '${TARGET_FILE_SIZE_MB}mb',
  'snapshot.time-retained' = '${SNAPSHOT_RETENTION_H} h',
  'commit.user-prefix' = 'orderbook'
);
