INSERT INTO schema_version (version, name) VALUES (%(version)s, %(name)s)
ON CONFLICT (version) DO NOTHING
