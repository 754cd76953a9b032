#!/bin/sh
# Makes dist/, which the package is published with: src/ as JavaScript with types, and the script that is run by an install.
# "tsc" alone checks the types; this only emits.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.tools/node_modules/.bin:$PWD/node_modules/.bin:$PATH
export PATH
tsc -p tsconfig.build.json --outDir "dist.$$"
tsc -p scripts --outDir "dist.$$/scripts"
# Another process that packs at the same time finds it whole.
rm -rf dist
mv "dist.$$" dist
