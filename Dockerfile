# The service, its migrations, the producer and the command line in one image: docker build -t holdfast .
# What it is made of was run by hand, step by step; see docs/containers.md.
ARG NODE_VERSION=24.21.0

# Packages, and the native Kafka client: downloaded where its makers offer it, else compiled here, which takes minutes.
FROM node:${NODE_VERSION}-bookworm-slim AS packages
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates g++ make bash python3 libssl-dev zlib1g-dev libzstd-dev liblz4-dev libsasl2-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/native.ts scripts/native-machine.ts scripts/
# No optional ones: they are the embedded PostgreSQL of demo and tests. And of the client only what it loads: the sources
# that it was compiled from are four times its size.
RUN npm ci --omit=dev --omit=optional \
 && rm -rf node_modules/@confluentinc/kafka-javascript/deps node_modules/@confluentinc/kafka-javascript/src

FROM node:${NODE_VERSION}-bookworm-slim
# What a compiled client is linked against, and the authorities that sign brokers.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 libsasl2-2 libzstd1 liblz4-1 zlib1g \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json LICENSE ./
COPY bin bin
COPY scripts/healthcheck.ts scripts/
COPY data data
COPY migrations migrations
COPY schemas schemas
COPY web web
COPY src src

ARG NODE_VERSION
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="A resilient stream processor: Kafka to Postgres with nothing lost, nothing twice, nothing stale, and a command that proves it" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/node:${NODE_VERSION}-bookworm-slim"

ENV NODE_ENV=production
# Nothing in the image is theirs, so a read-only root file system takes nothing from them.
USER node
# The API; where METRICS_PORT opens a port for Prometheus, that is the operator's to choose.
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/scripts/healthcheck.ts"]
STOPSIGNAL SIGTERM
# A shim that sets what Node needs to be told and becomes Node: signals reach the service, and its exit code is the container's.
ENTRYPOINT ["/app/bin/holdfast"]
CMD ["serve"]
