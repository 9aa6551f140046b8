#!/usr/bin/env bash
# Tests the SDK and the examples. Needs build/ (scripts/build.sh) and node_modules/.
#
# Usage: sdk/test.sh [unit|relay|browser]…
#
#   unit      build, size, types, whether API.md is current, and unit tests: on this
#             Node and the project's
#   relay     the SDK against the real relay: on this Node and the project's
#   browser   the examples in Chromium; FREEZE_MS=60000 freezes the tab for a minute
#             (default: 8000)
#   --help    show this text
#
# Without arguments, all of them run.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../scripts/lib.sh"

[ $# -gt 0 ] || set -- unit relay browser
for part in "$@"; do
  case $part in
    unit | relay | browser) ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "test.sh: there is no part '$part'; there are unit, relay and browser" ;;
  esac
done
cd "$ROOT"

# The project's own Node, and the machine's where that is another version.
nodes=(node_modules/.bin/node)
while read -r node; do
  if [ "$("$node" -v)" != "$(node_modules/.bin/node -v)" ]; then
    nodes+=("$node")
    break
  fi
done < <(type -ap node)
for node in "${nodes[@]}"; do echo "Node $("$node" -v)" >&2; done

# on_each_node FILE…: runs tests.
on_each_node() {
  local node
  for node in "${nodes[@]}"; do "$node" --test --test-reporter=spec "$@"; done
}

node_modules/.bin/node sdk/build.mjs
for part in "$@"; do
  case $part in
    unit)
      node_modules/.bin/node sdk/api-docs.mjs --check
      # What an older compiler makes of the types may differ.
      for compiler in typescript typescript-5.9; do node_modules/.bin/node "node_modules/$compiler/bin/tsc" -p sdk/test; done
      on_each_node sdk/test/*.test.mjs
      ;;
    relay) on_each_node tests/sdk/*.test.mjs ;;
    # One at a time: pages in the background are slow.
    browser) for file in tests/examples/*.test.mjs; do node_modules/.bin/node --test --test-reporter=spec "$file"; done ;;
  esac
done
