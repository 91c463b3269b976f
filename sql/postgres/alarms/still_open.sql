SELECT subject, text, opened_at FROM alarm WHERE closed_at IS NULL ORDER BY opened_at
