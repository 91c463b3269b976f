# Stands in for haproxy where it cannot be pulled.
ARG BASE=debian:bookworm-slim
ARG BUILDER=${BASE}
FROM ${BASE}
LABEL upbit.stand-in="Debian's HAProxy 2.6"
RUN apt-get update -qq && apt-get install -yqq --no-install-recommends haproxy >/dev/null \
 && apt-get clean && rm -rf /var/lib/apt/lists/* && mkdir -p /usr/local/etc/haproxy
USER haproxy
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
