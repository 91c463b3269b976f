-- Flink. Write-only writers never expire snapshots. max_deletes: the default of 50 a run would fall behind.
CALL lake.sys.expire_snapshots(
  `table` => '${DATABASE}.${TABLE}',
  older_than => '${OLDER_THAN}',
  retain_min => 1,
  max_deletes => 2000
);
