-- The lake's catalog. JDBC with a lock: a filesystem catalog on S3 loses concurrent commits without a word.
-- The S3 endpoint and keys come from Flink's own configuration, the password from flink/pgpass.
CREATE CATALOG lake WITH (
  'type' = 'paimon',
  'metastore' = 'jdbc',
  'uri' = '${CATALOG_JDBC_URL}',
  'jdbc.user' = '${CATALOG_USER}',
  'catalog-key' = 'upbit',
  'lock.enabled' = 'true',
  'lock.type' = 'jdbc',
  'lock-acquire-timeout' = '60s',
  'warehouse' = '${WAREHOUSE}'
);
