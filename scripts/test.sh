#!/bin/sh
# Checks, the quick ones first; stops at the first that fails. Prints the result at the end, with the tests that could not run here.
#
#   scripts/test.sh            all but the tests that take minutes each (the project "long" of vitest.config.ts)
#   scripts/test.sh --all      those as well, and more rounds of what is tried at random (test/support/effort.ts)
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
case ${1-} in
  '')
    tests='unit, contract, scenario and browser tests'
    set -- --project '!long'
    ;;
  --all)
    shift
    tests='unit, contract, scenario and browser tests, the long ones included'
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
printf '\nPASSED: set-up, types, lint, %s (%s)\n' "$tests" "$(took)"
if [ -s "$HOLDFAST_NOT_RUN" ]; then
  printf 'BUT %s OF THE TESTS CANNOT RUN ON THIS MACHINE:\n' "$(wc -l <"$HOLDFAST_NOT_RUN" | tr -d ' ')"
  cat "$HOLDFAST_NOT_RUN"
fi
