#!/usr/bin/env bash
# Tests the SDK and the examples. Wants build/ (scripts/build.sh) and node_modules/.
#
# Usage: sdk/test.sh [unit|relay|browser]…   (default: all)
#
#   unit      build, size, types, API.md in step, unit tests: this Node and the project's
#   relay     the SDK against the real relay: this Node and the project's
#   browser   the examples in Chromium; FREEZE_MS=60000 freezes the tab for a minute (default 6000)

set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."

nodes=(node)
# The project's own, where the machine's is another.
[ "$(node -v)" = "$(node_modules/.bin/node -v)" ] || nodes+=(node_modules/.bin/node)

node sdk/build.mjs
for part in "${@:-unit relay browser}"; do
  for part in $part; do
    case $part in
      unit)
        node sdk/api-docs.mjs --check
        node_modules/.bin/tsc -p sdk/test
        for node in "${nodes[@]}"; do "$node" --test sdk/test/*.test.mjs; done
        ;;
      relay) for node in "${nodes[@]}"; do "$node" --test tests/sdk/*.test.mjs; done ;;
      # One at a time: pages in the background are slow.
      browser) for file in tests/examples/*.test.mjs; do node --test "$file"; done ;;
      *)
        echo "error: unknown part '$part'; there are unit, relay and browser" >&2
        exit 2
        ;;
    esac
  done
done
