-- What no stream could take, with its bytes and the reason. Origin = topic, partition and offset of the bad record
-- where it had one, else its own place in upbit-dead-letter. Partition = hour of the Kafka record, UTC.
CREATE TABLE IF NOT EXISTS lake.upbit.dead_letter (
  dt STRING NOT NULL,
  hh STRING NOT NULL,
  topic STRING NOT NULL,
  `partition` INT NOT NULL,
  `offset` BIGINT NOT NULL,
  reason STRING,
  payload BYTES,
  record_key STRING,
  source STRING,
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  received_at TIMESTAMP_LTZ(3),
  PRIMARY KEY (dt, hh, topic, `partition`, `offset`) NOT ENFORCED
) PARTITIONED BY (dt, hh) WITH (
  'bucket' = '1',
  'merge-engine' = 'deduplicate',
  'write-only' = 'true',
  'write-buffer-size' = '16mb',
  'file.format' = 'parquet',
  'target-file-size' = '${TARGET_FILE_SIZE_MB}mb',
  'snapshot.time-retained' = '${SNAPSHOT_RETENTION_H} h',
  'commit.user-prefix' = 'dead-letter'
);
