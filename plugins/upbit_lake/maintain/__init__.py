"""Maintenance closes hours: compaction, exact candles, expiry."""
