#!/bin/bash
# Becomes `airflow …` once the API server answers, also when the engine has started all containers at once.
until python "$(dirname "$0")/health.py" api-server; do sleep 2; done
exec airflow "$@"
