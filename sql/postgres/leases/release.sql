DELETE FROM lease WHERE name = %(name)s AND owner = %(owner)s
