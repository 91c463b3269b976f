-- Order books as they lie in Kafka. A field the format cannot read is NULL, a broken record is skipped: the coverage
-- check finds its offset missing.
CREATE TEMPORARY TABLE kafka_orderbook (
  `code` STRING,
  market STRING,
  `timestamp` BIGINT,
  total_ask_size DECIMAL(24, 8),
  total_bid_size DECIMAL(24, 8),
  orderbook_units ARRAY<ROW<
    ask_price DECIMAL(17, 8), bid_price DECIMAL(17, 8),
    ask_size DECIMAL(20, 8), bid_size DECIMAL(20, 8)>>,
  `level` DECIMAL(20, 8),
  stream_type STRING,
  kafka_partition INT METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  kafka_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = '${TOPIC_ORDERBOOK}',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'properties.security.protocol' = '${KAFKA_SECURITY_PROTOCOL}',
  'properties.sasl.mechanism' = '${KAFKA_SASL_MECHANISM}',
  'properties.group.id' = 'upbit-lake-orderbook',
  'properties.auto.offset.reset' = 'earliest',
  'properties.allow.auto.create.topics' = 'false',
  'scan.startup.mode' = '${STARTUP_MODE}',
  'scan.startup.timestamp-millis' = '${STARTUP_TIMESTAMP_MS}',
  'format' = 'json',
  'json.ignore-parse-errors' = 'true'
);
