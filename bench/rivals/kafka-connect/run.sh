#!/bin/sh
# Kafka Connect, standalone, with a JDBC sink of one task; made ready by prepare.ts, which prints how Java is to be called.
set -eu
here=$(dirname "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
jars=$(node "$here/prepare.ts" "$dir")
java -Xmx512m -cp "$jars/*" org.apache.kafka.connect.cli.ConnectStandalone "$dir/worker.properties" "$dir/sink.properties" &
trap 'kill $!' TERM INT
wait $!
