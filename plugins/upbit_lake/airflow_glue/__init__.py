"""The only part of the library that knows Airflow: connections, outcome lines, alarms, dates of a run."""
