-- One row a code and minute with trades. revision 0 = provisional (streaming), 1 = exact (recomputed from the stored
-- trades of a closed hour). The sequence keeps a late trickle from overwriting an exact or a fuller row.
CREATE TABLE IF NOT EXISTS lake.upbit.candle_1m (
  dt STRING NOT NULL,
  hh STRING NOT NULL,
  `code` STRING NOT NULL,
  candle_start TIMESTAMP(3) NOT NULL,
  opening_price DECIMAL(17, 8) NOT NULL,
  high_price DECIMAL(17, 8) NOT NULL,
  low_price DECIMAL(17, 8) NOT NULL,
  closing_price DECIMAL(17, 8) NOT NULL,
  acc_trade_volume DECIMAL(38, 8) NOT NULL,
  acc_trade_price DECIMAL(38, 16) NOT NULL,
  trade_count BIGINT NOT NULL,
  revision INT NOT NULL,
  PRIMARY KEY (dt, hh, `code`, candle_start) NOT ENFORCED
) PARTITIONED BY (dt, hh) WITH (
  'bucket' = '1',
  'merge-engine' = 'deduplicate',
  'sequence.field' = 'revision,trade_count',
  'write-only' = 'true',
  'write-buffer-size' = '16mb',
  'file.format' = 'parquet',
  'target-file-size' = '${TARGET_FILE_SIZE_MB}mb',
  'snapshot.time-retained' = '${SNAPSHOT_RETENTION_H} h',
  'commit.user-prefix' = 'candle'
);
