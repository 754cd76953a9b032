# The service, its migrations, the producer and the command line in one image: docker build -t holdfast .
ARG NODE_VERSION=24.21.0

# Packages, and the native Kafka client: downloaded where the hash of its makers' build is known (scripts/native-prebuilt.ts), else compiled
# here, which takes minutes.
FROM node:${NODE_VERSION}-bookworm-slim AS packages
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates g++ make bash python3 libssl-dev zlib1g-dev libzstd-dev liblz4-dev libsasl2-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/postinstall.js scripts/native.ts scripts/native-machine.ts scripts/native-prebuilt.ts scripts/
# The client is kept between builds, so that one which changes only packages does not compile it again.
RUN --mount=type=cache,target=/root/.cache/holdfast npm ci --omit=dev --omit=optional
# What nothing loads is more than what is loaded: the sources that the client was compiled from, and what packages bring for
# debuggers and compilers. Their licences stay, and those of librdkafka, which are among the sources.
RUN client=node_modules/@confluentinc/kafka-javascript \
 && mkdir "$client/LICENSES.librdkafka" && cp "$client"/deps/librdkafka/LICENSE* "$client/LICENSES.librdkafka" \
 && rm -rf "$client/deps" "$client/src" \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM node:${NODE_VERSION}-bookworm-slim
# What a compiled client is linked against, the authorities that sign brokers, and a process 1.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 libsasl2-2 libzstd1 liblz4-1 zlib1g tini \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json LICENSE ./
COPY bin bin
COPY scripts/healthcheck.ts scripts/make-keys.ts scripts/
COPY data data
COPY docs/runbooks docs/runbooks
COPY migrations migrations
COPY schemas schemas
COPY web web
COPY src src

ARG NODE_VERSION
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="A resilient stream processor: Kafka to Postgres with nothing lost, nothing twice, nothing stale, and a command that proves it" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/node:${NODE_VERSION}-bookworm-slim"

ENV NODE_ENV=production
# The user "node", by number: Kubernetes cannot tell of a name that it is not root (runAsNonRoot). Nothing in the image is theirs, so a
# read-only root file system takes nothing from them.
USER 1000:1000
# The API; where METRICS_PORT opens a port for Prometheus, that is the operator's to choose.
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/scripts/healthcheck.ts"]
STOPSIGNAL SIGTERM
# The shim sets what Node needs to be told and becomes Node: signals reach the service, and its exit code is the container's.
# It is not process 1, because the kernel drops a SIGTERM that process 1 does not handle yet: a container stopped in the second
# in which Node loads would run on until it is killed.
ENTRYPOINT ["tini", "--", "/app/bin/holdfast"]
CMD ["serve"]
