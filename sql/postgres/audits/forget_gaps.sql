DELETE FROM coverage_gap WHERE topic = %(topic)s
