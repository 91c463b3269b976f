"""The control plane's library: what the DAG tasks call. Nothing here imports Airflow except `tasks`."""
