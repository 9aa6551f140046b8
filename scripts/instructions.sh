#!/usr/bin/env bash
# Counts, with valgrind, the instructions that the core's hot path takes
# (bench/src/lib.rs), and compares them with bench/instructions.txt. Unlike a
# time, a count is the same on a busy machine.
#
# Usage: scripts/instructions.sh [--update]
#
#   --update   write bench/instructions.txt instead of comparing
#   --help     show this text
#
# Growth of more than 5 % fails, or of more than 25 % if the file was written with
# another compiler. A change that is meant to cost something updates the file.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# Times that an operation runs: once so many, once twice as many. What the start
# takes is in both, and falls out of the difference.
RUNS=1000
# Growth that fails, in %: with the file's compiler, and with another.
MAX_GROWTH=5
MAX_GROWTH_OTHER=25

update=false
while [ $# -gt 0 ]; do
  case $1 in
    --update) update=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "instructions.sh: unknown argument '$1'" ;;
  esac
  shift
done

cd "$ROOT"
kept=bench/instructions.txt
have valgrind || die "valgrind is not installed; ./scripts/setup.sh tells how to get it"

export CARGO_TERM_PROGRESS_WHEN=never
binary=$(cargo build --quiet --profile measure -p agent-socket-bench --no-default-features --bin instructions \
  --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
[ -x "$binary" ] || die "cargo built no program to count"

# count NAME RUNS: all instructions of one run of the program.
count() {
  local log
  log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1) ||
    die "valgrind could not run it: $log"
  sed -n 's/^==[0-9]*== Collected : \([0-9]*\)$/\1/p' <<<"$log"
}

# Counts differ from compiler to compiler, and from one kind of processor to another.
compiler=$(rustc -vV | awk '$1 == "release:" { release = $2 } $1 == "host:" { host = $2 } END { print release, host }')

counts=''
while read -r name; do
  once=$(count "$name" "$RUNS")
  twice=$(count "$name" $((RUNS * 2)))
  counts+="$name $(((twice - once) / RUNS))"$'\n'
done < <("$binary")

if $update; then
  {
    echo "# Instructions per operation of the core; scripts/instructions.sh --update writes this."
    echo "rustc $compiler"
    printf '%s' "$counts"
  } >"$kept"
  cat "$kept"
  exit 0
fi

[ -f "$kept" ] || die "$kept is not there; scripts/instructions.sh --update writes it"
limit=$MAX_GROWTH
if [ "$(sed -n 's/^rustc //p' "$kept")" != "$compiler" ]; then
  limit=$MAX_GROWTH_OTHER
  warn "$kept was counted with rustc $(sed -n 's/^rustc //p' "$kept"), this is $compiler: growth fails only over $limit %"
fi

# Each operation on a line, and at the end whether all are within the limit.
awk -v limit="$limit" '
  /^#/ || $1 == "rustc" { next }
  NR == FNR { was[$1] = $2; next }
  !($1 in was) { printf "%-24s %9d  is not in the file\n", $1, $2; bad = 1; next }
  {
    growth = 100 * ($2 - was[$1]) / was[$1]
    verdict = ""
    if (growth > limit) { verdict = "  over " limit " %"; bad = 1 }
    if (growth < -limit) verdict = "  better: --update keeps it"
    printf "%-24s %9d %9d %+7.2f %%%s\n", $1, was[$1], $2, growth, verdict
    delete was[$1]
  }
  END {
    for (name in was) { printf "%-24s is in the file only\n", name; bad = 1 }
    exit bad
  }
' "$kept" <(printf '%s' "$counts") || die "the core takes more instructions than $kept has, or others. If that is meant: scripts/instructions.sh --update, and say in the commit what they buy"
