#!/usr/bin/env bash
# Tests the SDK and the examples. Wants build/ (scripts/build.sh) and node_modules/.
#
# Usage: sdk/test.sh [unit|relay|browser]…   (default: all)
#
#   unit      build, size, types, API.md in step, unit tests: this Node and the project's
#   relay     the SDK against the real relay: this Node and the project's
#   browser   the examples in Chromium; FREEZE_MS=60000 freezes the tab for a minute (default 8000)

set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

# The project's own Node, and the machine's where that is another version.
nodes=(node_modules/.bin/node)
while read -r node; do
  if [ "$("$node" -v)" != "$(node_modules/.bin/node -v)" ]; then
    nodes+=("$node")
    break
  fi
done < <(type -ap node)
for node in "${nodes[@]}"; do echo "Node $("$node" -v)" >&2; done

node_modules/.bin/node sdk/build.mjs
[ $# -gt 0 ] || set -- unit relay browser
for part in "$@"; do
  case $part in
    unit)
      node_modules/.bin/node sdk/api-docs.mjs --check
      # What an older compiler makes of the types may differ.
      for compiler in typescript typescript-5.9; do node_modules/.bin/node "node_modules/$compiler/bin/tsc" -p sdk/test; done
      for node in "${nodes[@]}"; do "$node" --test sdk/test/*.test.mjs; done
      ;;
    relay) for node in "${nodes[@]}"; do "$node" --test tests/sdk/*.test.mjs; done ;;
    # One at a time: pages in the background are slow.
    browser) for file in tests/examples/*.test.mjs; do node_modules/.bin/node --test "$file"; done ;;
    *)
      echo "error: unknown part '$part'; there are unit, relay and browser" >&2
      exit 2
      ;;
  esac
done
