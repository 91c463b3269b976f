SELECT at FROM maintenance_run WHERE name = %(name)s
