"""Tasks are the only part that knows Airflow."""
