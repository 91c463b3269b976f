-- A verdict may be about one market of an hour (`KRW-BTC`). Empty: about the whole hour, as all are that were there before.
ALTER TABLE verdict ADD COLUMN market text NOT NULL DEFAULT '';
ALTER TABLE verdict DROP CONSTRAINT verdict_pkey;
ALTER TABLE verdict ADD PRIMARY KEY (level, table_name, dt, hh, market);
