#!/usr/bin/env bash
# Runs parts of a whole side by side. Sourced by test.sh, after lib.sh; never run.
#
# A part is a name. The caller defines, each with the name as $1:
#
#   part       does the work; its exit code is the part's result
#   needs_of   prints the parts that must have passed before; if one of them is
#              not among those that run, it does not count
#   holds_of   prints what the part needs for itself alone: parts that hold the
#              same never run at the same time
#
# Every part runs in a process group of its own, so that all that it started
# can be ended with it. Parts that run beside others write to a log, which is
# printed as one piece when they end.

# Seconds between two lines of progress, and those that parts have to end after
# SIGTERM before they are killed: relays get some seconds to end by themselves.
PROGRESS_EVERY=20
END_GRACE=8

# By name: the process group of what runs and when it began; of what is over the
# result (passed, failed or left out), its time, and the time that its processes
# had a processor, in ms: much less than its time, if others had the processors.
declare -A PART_GROUP=() PART_STARTED=() PART_RESULT=() PART_TOOK=() PART_CPU=()

# run_parts JOBS NAME…: runs the parts, at most so many at once; the first that
# can run is started first. With one job at a time there is no log: a part
# writes to the terminal. Returns 1 if a part did not pass.
run_parts() {
  local jobs=$1 pipe ends waiting=("${@:2}") name code cpu
  PART_LOGS=$TOOLS_DIR/log/test
  mkdir -p "$PART_LOGS"
  # Parts tell their end here. Nobody else needs its name.
  pipe=$(mktemp -u)
  mkfifo -m 600 "$pipe"
  exec {ends}<>"$pipe"
  rm -f "$pipe"
  trap 'end_parts; exit 130' INT TERM HUP

  while [ "${#waiting[@]}" -gt 0 ] || [ "${#PART_GROUP[@]}" -gt 0 ]; do
    start_parts
    if [ "${#PART_GROUP[@]}" -eq 0 ]; then continue; fi
    if read -r -t "$PROGRESS_EVERY" -u "$ends" name code cpu; then
      end_of_part "$name" "$code" "$cpu"
    else
      show_progress
      notice_lost_parts
    fi
  done

  trap - INT TERM HUP
  exec {ends}>&-
  for name in "${@:2}"; do [ "${PART_RESULT[$name]}" = passed ] || return 1; done
}

# Starts all that can run now. Uses run_parts' variables, as do those below.
start_parts() {
  local name need left=()
  for name in "${waiting[@]}"; do
    if need=$(lacking "$name"); then
      PART_RESULT[$name]='left out'
      PART_TOOK[$name]=0
      PART_CPU[$name]=0
      error "$name: left out, as it needs '$need', which did not pass"
    elif [ "${#PART_GROUP[@]}" -lt "$jobs" ] && can_start "$name"; then
      start_part "$name"
    else
      left+=("$name")
    fi
  done
  waiting=(${left[@]+"${left[@]}"})
}

# Prints a part that this one needs and that did not pass; fails if there is none.
lacking() {
  local need
  for need in $(needs_of "$1"); do
    case ${PART_RESULT[$need]:-} in
      failed | 'left out')
        echo "$need"
        return 0
        ;;
    esac
  done
  return 1
}

# Whether what it needs is there, and what it holds is free.
can_start() {
  local need thing other
  for need in $(needs_of "$1"); do
    if [ -n "${PART_GROUP[$need]:-}" ] || [[ " ${waiting[*]} " == *" $need "* ]]; then return 1; fi
  done
  for thing in $(holds_of "$1"); do
    for other in "${!PART_GROUP[@]}"; do
      if [[ " $(holds_of "$other") " == *" $thing "* ]]; then return 1; fi
    done
  done
}

start_part() {
  local name=$1
  PART_STARTED[$name]=$(now_ms)
  if [ "$jobs" -eq 1 ]; then step "$name"; fi
  set -m
  {
    set +m
    code=0
    if [ "$jobs" -eq 1 ]; then
      part "$name" {ends}>&- || code=$?
    else
      part "$name" >"$PART_LOGS/$name.log" 2>&1 {ends}>&- || code=$?
    fi
    # Not in a pipe, where it would be another shell's times.
    times >"$PART_LOGS/$name.times"
    echo "$name $code $(cpu_ms <"$PART_LOGS/$name.times")" >&"$ends"
  } </dev/null &
  PART_GROUP[$name]=$!
  set +m
}

# The processor time of all children that ended, in ms, from what `times` prints:
# a line for the shell and one for its children, each like `0m1.250s 0m0.310s`.
cpu_ms() {
  awk -F '[ms ]+' 'NR == 2 { printf "%d", 1000 * (60 * $1 + $2 + 60 * $3 + $4) }'
}

# end_of_part NAME CODE [CPU]
end_of_part() {
  local name=$1 code=$2 shown
  PART_CPU[$name]=${3:-0}
  wait "${PART_GROUP[$name]}" 2>/dev/null || true
  unset "PART_GROUP[$name]"
  PART_TOOK[$name]=$(($(now_ms) - PART_STARTED[$name]))
  if [ "$code" -eq 0 ]; then PART_RESULT[$name]=passed; else PART_RESULT[$name]=failed; fi
  shown=$(show_result "${PART_RESULT[$name]}")
  if [ "$jobs" -gt 1 ]; then
    step "$name"
    cat "$PART_LOGS/$name.log" >&2
  fi
  info "$name: $shown, $(show_ms "${PART_TOOK[$name]}") (processors: $(show_ms "${PART_CPU[$name]}"))"
}

# show_result RESULT: in its colour.
show_result() {
  case $1 in
    passed) printf '%spassed%s' "$C_GREEN" "$C_OFF" ;;
    failed) printf '%sFAILED%s' "$C_RED" "$C_OFF" ;;
    *) printf '%s%s%s' "$C_RED" "$1" "$C_OFF" ;;
  esac
}

# What runs, for how long, and the last that each said.
show_progress() {
  local name
  [ "$jobs" -gt 1 ] || return 0
  for name in "${!PART_GROUP[@]}"; do
    info "$C_DIM… $name, for $(since "${PART_STARTED[$name]}"): $(last_line "$PART_LOGS/$name.log")$C_OFF"
  done
}

# A part that was killed tells no end. One that ended told it before, so what
# was told is read first.
notice_lost_parts() {
  local name code cpu gone=()
  for name in "${!PART_GROUP[@]}"; do
    kill -0 "${PART_GROUP[$name]}" 2>/dev/null || gone+=("$name")
  done
  [ "${#gone[@]}" -gt 0 ] || return 0
  while read -r -t 0.1 -u "$ends" name code cpu; do end_of_part "$name" "$code" "$cpu"; done
  for name in "${gone[@]}"; do
    if [ -n "${PART_GROUP[$name]:-}" ]; then end_of_part "$name" 137; fi
  done
}

# Ends all that runs, with all that it started: politely first.
end_parts() {
  local name waited=0 alive
  trap '' INT TERM HUP
  [ "${#PART_GROUP[@]}" -gt 0 ] || return 0
  step "ending ${!PART_GROUP[*]}"
  for name in "${!PART_GROUP[@]}"; do kill -TERM -- "-${PART_GROUP[$name]}" 2>/dev/null || true; done
  while [ "$waited" -lt $((END_GRACE * 20)) ]; do
    alive=false
    for name in "${!PART_GROUP[@]}"; do
      if kill -0 -- "-${PART_GROUP[$name]}" 2>/dev/null; then alive=true; fi
    done
    if ! $alive; then return 0; fi
    sleep 0.05
    waited=$((waited + 1))
  done
  for name in "${!PART_GROUP[@]}"; do kill -KILL -- "-${PART_GROUP[$name]}" 2>/dev/null || true; done
}
