# Amend's image: Python, the locked dependencies and the receiver, as an unprivileged user. It runs on a read-only root
# file system and keeps its books in the volume; amend.yml must listen on 0.0.0.0:9095 to be reached from outside.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN python3 -m venv /opt/amend && mkdir /books
WORKDIR /src
# Dependencies first: they change less often than the code, and so stay in the build cache.
COPY requirements.lock ./
RUN /opt/amend/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY receiver ./receiver
# An image that never installs anything carries nothing to install with.
RUN /opt/amend/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && /opt/amend/bin/pip uninstall --quiet --yes setuptools pip

FROM ${BASE}
LABEL org.opencontainers.image.title="Amend" \
      org.opencontainers.image.description="Answers Prometheus alerts, checks that it helped, and keeps the books" \
      org.opencontainers.image.licenses="Apache-2.0"
# No RUN here: a base without a shell will do.
COPY --from=build /opt/amend /opt/amend
COPY --from=build --chown=10001:10001 /books /var/lib/amend
ENV PATH=/opt/amend/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/amend
VOLUME /var/lib/amend
# A number, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001
EXPOSE 9095
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9095/-/healthy', timeout=4)"]
ENTRYPOINT ["amend"]
CMD ["serve", "--config", "/etc/amend/amend.yml"]
