SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()
