-- The partitions that were written last: the newest consumed offsets stand there, whatever their event time.
SELECT `partition` FROM `${CATALOG}`.`${DATABASE}`.`${TABLE}$partitions` ORDER BY last_update_time DESC LIMIT 4
