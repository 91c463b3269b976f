#!/bin/bash
# A database and its only role for Airflow, the lake's catalog and the verdicts. Says again what is already so: run at
# every start, and so after a password was changed in .env.
set -euo pipefail
for name in airflow paimon pipeline; do
  password="${name^^}_DB_PASSWORD"
  # Not in an argument, which every process could read.
  NAME="$name" PASSWORD="${!password}" psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<'SQL'
\getenv name NAME
\getenv password PASSWORD
SELECT format('CREATE ROLE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
ALTER ROLE :"name" LOGIN PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
  echo "$name: its role may log in to its database"
done
