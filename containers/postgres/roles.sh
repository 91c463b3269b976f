#!/bin/bash
# A database and its only role for Airflow, the lake's catalog and the verdicts. Run once, when the volume is empty.
set -euo pipefail
for name in airflow paimon pipeline; do
  password="${name^^}_DB_PASSWORD"
  psql --quiet --set ON_ERROR_STOP=1 --username postgres --set name="$name" --set password="${!password}" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
