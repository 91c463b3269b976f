SELECT owner, expires_at FROM lease WHERE name = %(name)s AND expires_at >= now()
