#!/bin/sh
# The contract tests against other versions of PostgreSQL and Kafka than the project's own, one after another; prints which passed.
#
#   scripts/test-versions.sh                   all of them
#   POSTGRES="14 17" KAFKA= scripts/test-versions.sh [ARGS]    these, with ARGS for vitest in place of --project contract
set -u
cd "$(dirname "$0")/.."
scripts/setup.sh || exit 1
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
[ $# -gt 0 ] || set -- --project contract

passed='' failed=''
one() {
  printf '\n== %s\n' "$1"
  if (shift; exec "$@"); then passed="$passed, $1"; else failed="$failed, $1"; fi
}
for version in ${POSTGRES-14 15 16 17}; do
  one "PostgreSQL $version" env HOLDFAST_TEST_POSTGRES="$version" vitest run "$@"
done
for version in ${KAFKA-3.9.1 4.0.0}; do
  one "Kafka $version" env HOLDFAST_TEST_KAFKA="$version" vitest run "$@"
done
printf '\nPASSED: %s\n' "${passed#, }"
[ -z "$failed" ] || { printf 'FAILED: %s\n' "${failed#, }" >&2; exit 1; }
