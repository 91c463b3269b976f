-- The newest event of a stream in the lake, in ms of the exchange's clock.
SELECT MAX(`${TIME}`) FROM `${CATALOG}`.`${DATABASE}`.`${TABLE}` WHERE ${HOURS}
