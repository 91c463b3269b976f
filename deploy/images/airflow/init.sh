#!/bin/bash
# What Airflow's processes find when they start: its database, its pools, its login.
set -euo pipefail
umask 077
printf '{"admin": "%s"}' "$AIRFLOW_PASSWORD" > "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
airflow db migrate
airflow pools import "$(dirname "$0")/pools.json"
