#!/usr/bin/env bash
# The esbuild that worker-build calls (ESBUILD_BIN). It puts src/entry.js in the
# place of worker-build's own entry, and silences the warning about keys that
# wasm-bindgen writes more than once, with the same value each time, when several
# functions of one JavaScript file are imported.
#
# Usage: scripts/esbuild.sh [what esbuild takes…], in worker-build's folder

set -euo pipefail
root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
[ -f shim.js ] || {
  echo "error: there is no shim.js here; worker-build's layout has changed, and with it what src/entry.js stands in for" >&2
  exit 1
}
cp -- "$root/src/entry.js" shim.js
exec "$root/node_modules/.bin/esbuild" --log-override:duplicate-object-key=silent "$@"
