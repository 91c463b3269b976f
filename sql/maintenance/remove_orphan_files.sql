-- Flink. Files that no snapshot names, left by killed writers; younger ones may belong to a commit under way.
CALL lake.sys.remove_orphan_files(
  `table` => '${DATABASE}.*',
  older_than => '${OLDER_THAN}',
  mode => 'local'
);
