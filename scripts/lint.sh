#!/bin/sh
# Form and code (biome), types of the pages' scripts (tsc), and which module imports which (dependency-cruiser). "make lint" and "npm run lint" are the same.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
biome check --error-on-warnings .
tsc -p web
node scripts/check-imports.ts
