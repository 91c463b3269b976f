#!/bin/bash
# What Airflow's processes find when they start: its database, its pools, its login, and the control database at its schema.
set -euo pipefail
umask 077
printf '{"admin": "%s"}' "$AIRFLOW_PASSWORD" > "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
airflow db migrate
# Saved before, where there is something to upgrade, by postgres-access.
PYTHONPATH=/opt/pipeline/plugins python -m upbit_lake upgrade
airflow pools import "$(dirname "$0")/pools.json"
