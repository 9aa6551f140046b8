#!/usr/bin/env bash
# Measures the relay beside the floor, a minimal relay in JavaScript
# (bench/floor/floor.js): both on workerd, in the same run, in turns. The native
# relay takes its turns beside the same floor.
#
# Usage: scripts/bench.sh [option…]
#
#   --rounds N     run N rounds of each case, from 5 to 100 (default: 15)
#   --case NAME    measure only this case; may be given more than once
#   --list         list the cases
#   --quick        take a quick look, in a minute: shorter turns, 7 rounds, fewer
#                  sessions
#   --write        write the tables of docs/performance.md (only after a whole run)
#   --no-build     use build/ as it is
#   --help         show this text
#
# A whole run takes half an hour. The tables go to stdout: the median of the rounds
# with their middle half, and whether each bound is met. A bound that is not met is
# not a failure: the exit code is 0. The bench runs on Linux only, since it reads
# the processor time that the kernel accounts to the runtime's threads.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

build=true
args=()
while [ $# -gt 0 ]; do
  case $1 in
    --rounds | --case)
      if [ $# -lt 2 ] || [ -z "$2" ]; then usage_error "bench.sh: $1 needs a value"; fi
      args+=("$1" "$2")
      shift
      ;;
    --quick | --write | --list) args+=("$1") ;;
    --no-build) build=false ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "bench.sh: unknown option '$1'" ;;
  esac
  shift
done

cd "$ROOT"
if $build; then
  ./scripts/build.sh
  step "building the native relay"
  cargo build --release --quiet -p agent-socket
fi
read -r raw zipped < <(upload_size) || die "build/ holds no build; leave out --no-build"
args+=(--upload "$raw" "$zipped")

# Each socket takes a file descriptor on both sides, and each object some more.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
export CARGO_TERM_PROGRESS_WHEN=never
step "measuring"
exec cargo run --quiet --profile measure -p agent-socket-bench --bin bench -- "${args[@]}"
