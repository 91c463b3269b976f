#!/bin/bash
# A database and its only role for Airflow, the lake's catalog and the verdicts. Says again what is already so: run at
# every start, and so after a password was changed in .env. Then saves the control database if it will be upgraded.
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

# airflow-init upgrades the schema to the newest of these files; a database without tables has nothing to save.
files=(/schema/[0-9][0-9][0-9]_*.sql)
newest=${files[-1]##*/}
export PGDATABASE=pipeline
ask() { psql --no-psqlrc --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"; }
tables=" $(ask "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'") "
if [[ $tables == *" lease "* ]]; then
  # Before versions were recorded: the tables of 001, and those of 002 once an hour was closed.
  found=1
  if [[ $tables == *" verdict "* ]]; then found=2; fi
  if [[ $tables == *" schema_version "* ]]; then found=$(ask "SELECT max(version) FROM schema_version"); fi
  if ((found < 10#${newest%%_*})); then
    umask 077
    dump="/var/lib/postgresql/control-schema-$(printf %03d "$found")-$(date --utc +%Y%m%dT%H%M%SZ).sql"
    pg_dump --no-owner --no-privileges --file "$dump.partial"
    # A file by the final name is whole.
    mv "$dump.partial" "$dump"
    echo "the control database was saved in the volume dumps: ${dump##*/}"
  fi
fi
