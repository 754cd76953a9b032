#!/bin/sh
# Form and code (biome), types of the pages' scripts (tsc), which module imports which (dependency-cruiser), what the lockfile pins, and
# workflows, objects of Kubernetes and chart with the programs that are there; --install builds those that are not. "make lint" and "npm run lint"
# are the same.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
biome check --error-on-warnings .
tsc -p web
node scripts/check-imports.ts
node scripts/check-lockfile.ts
node scripts/lint-deploy.ts "$@"
