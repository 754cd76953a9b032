#!/bin/sh
# All checks, the quick ones first; stops at the first that fails. Prints the result at the end.
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

check 'set-up' scripts/setup.sh
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
check 'types' tsc
check 'lint' scripts/lint.sh
tests='unit, contract, scenario and browser tests'
[ $# -eq 0 ] || tests="vitest run $*" # a part of them: say so
check "$tests" vitest run "$@"
printf '\nPASSED: set-up, types, lint, %s (%s)\n' "$tests" "$(took)"
