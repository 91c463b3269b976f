"""Clients of Flink: JobManager, SQL gateway, sessions, slots."""
