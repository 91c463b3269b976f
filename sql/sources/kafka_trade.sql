-- Trades as they lie in Kafka. A field the format cannot read is NULL, a broken record is skipped: the coverage check
-- finds its offset missing.
CREATE TEMPORARY TABLE kafka_trade (
  `code` STRING,
  market STRING,
  sequential_id BIGINT,
  trade_timestamp BIGINT,
  `timestamp` BIGINT,
  trade_price DECIMAL(17, 8),
  trade_volume DECIMAL(20, 8),
  ask_bid STRING,
  prev_closing_price DECIMAL(17, 8),
  `change` STRING,
  change_price DECIMAL(17, 8),
  best_ask_price DECIMAL(17, 8),
  best_ask_size DECIMAL(20, 8),
  best_bid_price DECIMAL(17, 8),
  best_bid_size DECIMAL(20, 8),
  stream_type STRING,
  kafka_partition INT METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  kafka_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = '${TOPIC_TRADE}',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'properties.security.protocol' = '${KAFKA_SECURITY_PROTOCOL}',
  'properties.sasl.mechanism' = '${KAFKA_SASL_MECHANISM}',
  'properties.group.id' = 'upbit-lake-trade',
  'properties.auto.offset.reset' = 'earliest',
  'properties.allow.auto.create.topics' = 'false',
  'scan.startup.mode' = '${STARTUP_MODE}',
  'scan.startup.timestamp-millis' = '${STARTUP_TIMESTAMP_MS}',
  'format' = 'json',
  'json.ignore-parse-errors' = 'true'
);
