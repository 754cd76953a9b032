#!/bin/sh
# Builds dist/, which the package is published with: src/ as JavaScript with types, and the script that is run by an install.
# "tsc" alone checks the types; this only emits.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
tsc -p tsconfig.build.json --outDir "dist.$$"
tsc -p scripts --outDir "dist.$$/scripts"
# Replaced as a whole: a build that fails leaves the one before. Two builds at once in one checkout are not provided for.
rm -rf dist
mv "dist.$$" dist
