UPDATE alarm SET closed_at = now() WHERE subject = %(subject)s AND closed_at IS NULL RETURNING id
