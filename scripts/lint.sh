#!/bin/sh
# Form (biome) and the doors between rooms. "make lint" and "npm run lint" are the same.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
biome check --error-on-warnings .
node scripts/check-doors.ts
