# Stands in for postgres where it cannot be pulled: Debian's server behind the part of the public image's entry point
# that docker-compose.yml uses (initdb with the superuser's password).
ARG BASE=debian:bookworm-slim
ARG BUILDER=${BASE}
FROM ${BASE}
LABEL upbit.stand-in="Debian's PostgreSQL 15"
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql postgres \
 && apt-get update -qq && apt-get install -yqq --no-install-recommends postgresql-15 >/dev/null \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/lib/postgresql \
 && install -d -o 999 -g 999 /var/lib/postgresql /var/run/postgresql
ENV PATH=/usr/lib/postgresql/15/bin:$PATH \
    PGDATA=/var/lib/postgresql/15/docker
RUN printf '%s\n' '#!/bin/bash' 'set -euo pipefail' \
    'if [ ! -s "$PGDATA/PG_VERSION" ]; then' \
    '  initdb --username postgres --pwfile=<(printf %s "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-} "$PGDATA"' \
    '  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"' \
    'fi' \
    'exec "$@" -c "listen_addresses=*"' > /usr/local/bin/docker-entrypoint.sh && chmod 0755 /usr/local/bin/docker-entrypoint.sh
USER 999
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
