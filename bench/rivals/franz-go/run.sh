#!/bin/sh
# Builds the program into the user's cache (Go 1.24 or newer; its modules are fetched once) and becomes it.
set -eu
cd "$(dirname "$0")"
program=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/franz-go-rival
go build -o "$program" .
exec "$program" ../spread.sql
