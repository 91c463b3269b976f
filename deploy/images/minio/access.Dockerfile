# Gives each service its S3 key and ends. Build from the repository's root: docker build -f deploy/images/minio/access.Dockerfile .
# BASE is what runs; BUILDER is what installs, the same Python with what reaches your package index.
ARG BASE=python:3.11-slim-bookworm
ARG BUILDER=${BASE}

FROM ${BUILDER} AS build
COPY deploy/images/minio/requirements.lock /tmp/
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
    --requirement /tmp/requirements.lock
COPY pipeline.toml deploy/images/minio/access.py /opt/pipeline/

FROM ${BASE}
LABEL org.opencontainers.image.title="upbit-minio-access" \
      org.opencontainers.image.description="One S3 key a service, for its own buckets" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pipeline \
 && python -m pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel \
 && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')"
COPY --from=build /opt /opt
ENV PATH=/opt/venv/bin:$PATH \
    PIPELINE_CONTRACT=/opt/pipeline/pipeline.toml \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["python", "/opt/pipeline/access.py"]
