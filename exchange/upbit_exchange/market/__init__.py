"""The market: books, tapes, history, candles."""
