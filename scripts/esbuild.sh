#!/usr/bin/env bash
# esbuild as worker-build is to call it (ESBUILD_BIN): without the warning about
# keys that wasm-bindgen writes more than once, with the same value each time,
# when several functions of one JavaScript file are imported.
#
# Usage: scripts/esbuild.sh [what esbuild takes…]

set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../node_modules/.bin/esbuild" --log-override:duplicate-object-key=silent "$@"
