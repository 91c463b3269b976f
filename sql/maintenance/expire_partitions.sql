-- Flink. By the time of the last write, not by dt and hh: a recording of years ago has just been written.
CALL lake.sys.expire_partitions(
  `table` => '${DATABASE}.${TABLE}',
  expiration_time => '${RETENTION_D} d',
  timestamp_formatter => 'yyyy-MM-dd HH',
  timestamp_pattern => '$dt $hh',
  expire_strategy => 'update-time'
);
