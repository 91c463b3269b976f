DELETE FROM coverage_gap WHERE topic = %s;
