SELECT name, owner, expires_at FROM lease WHERE expires_at >= now() ORDER BY name
