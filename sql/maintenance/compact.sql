-- Flink, batch. Full compaction of closed hours, all in one job. No order_strategy: a sorting compaction overwrites,
-- and rows that arrive meanwhile are dropped.
CALL lake.sys.compact(
  `table` => '${DATABASE}.${TABLE}',
  partitions => '${PARTITIONS}',
  compact_strategy => 'full',
  options => 'sink.parallelism=1,target-file-size=${TARGET_FILE_SIZE_MB}mb'
);
