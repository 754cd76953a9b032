#!/bin/sh
# Checks, the quick ones first; stops at the first that fails. Prints the result at the end, with the tests that could not run here.
#
#   scripts/test.sh            all but the tests that take minutes each (the project "long" of vitest.config.ts)
#   scripts/test.sh --all      those as well, more rounds of what is tried at random (test/support/effort.ts), and a part on the oldest PostgreSQL
#   scripts/test.sh ARGS       the tests that vitest finds by ARGS: files, folders, options
set -u
cd "$(dirname "$0")/.."

began=$(date +%s)
took() { echo "$(($(date +%s) - began)) s"; }

check() {
  name=$1
  shift
  printf '\n== %s\n' "$name"
  "$@" || { status=$?; printf '\nFAILED: %s (after %s)\n' "$name" "$(took)" >&2; exit "$status"; }
}

lint=
oldest=
case ${1-} in
  '')
    tests='unit, contract, scenario and browser tests'
    set -- --project '!long'
    ;;
  --all)
    shift
    tests='unit, contract, scenario and browser tests, the long ones included'
    oldest=14
    TEST_EFFORT=all
    export TEST_EFFORT
    lint=--install
    ;;
  *) tests="vitest run $*" ;; # a part of them: say so
esac

check 'set-up' scripts/setup.sh
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
check 'types' tsc
check 'lint' scripts/lint.sh $lint
HOLDFAST_NOT_RUN=$(mktemp)
export HOLDFAST_NOT_RUN
trap 'rm -f "$HOLDFAST_NOT_RUN"' EXIT
check "$tests" vitest run "$@"
if [ -n "$oldest" ]; then
  # What a version could break: migrations, settlement, proof, tables. scripts/test-versions.sh runs all of the contract tests.
  smoke="migrations, settlement and proof on PostgreSQL $oldest"
  if node scripts/postgres-version.ts "$oldest"; then
    check "$smoke" env -u DATABASE_URL HOLDFAST_TEST_POSTGRES="$oldest" vitest run --project contract \
      migrations settlement-store copy-road order-tables proof.test
    tests="$tests; $smoke"
  else
    printf '%s: its binaries could not be fetched\n' "$smoke" >>"$HOLDFAST_NOT_RUN"
  fi
fi
printf '\nPASSED: set-up, types, lint, %s (%s)\n' "$tests" "$(took)"
if [ -s "$HOLDFAST_NOT_RUN" ]; then
  printf 'BUT %s OF THE TESTS CANNOT RUN ON THIS MACHINE:\n' "$(wc -l <"$HOLDFAST_NOT_RUN" | tr -d ' ')"
  cat "$HOLDFAST_NOT_RUN"
fi
