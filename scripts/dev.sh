#!/usr/bin/env bash
# Runs the relay on this machine: http://localhost:8787
#
# Usage: scripts/dev.sh [option…] [NAME=VALUE…]
#
#   --port N       listen on port N instead of 8787, always on loopback only; with
#                  0, on any free port, which the line `ready` names
#   --debug        also serve /_debug/… (sets DEBUG=1)
#   --bare         run workerd alone, without wrangler: it starts at once, has no
#                  rate limit, and forgets its state when it ends, unless --state
#                  says where to keep it. Prints `pid N`, the process of the
#                  runtime, before `ready`
#   --state DIR    keep the objects' state in DIR, across restarts
#                  (default: .wrangler/state, or nowhere with --bare)
#   --no-build     use build/ as it is, and install nothing
#   --no-check     serve even if a var is bad: the relay then answers every request
#                  with `500 misconfigured`, and any answer counts as ready
#   --inspect N    let a debugger attach at port N
#   --help         show this text
#
# NAME=VALUE replaces a var of wrangler.toml for this run:
#   scripts/dev.sh --bare --port 9000 HEARTBEAT_TIMEOUT_MS=2000
#
# The script installs what is missing (scripts/setup.sh), builds (scripts/build.sh),
# and prints one line on stdout when the relay answers: ready http://127.0.0.1:8787
# Everything else, including the relay's log, goes to stderr.
#
# Ctrl-C, SIGTERM and closing the terminal end everything that it started, with
# exit code 0. If the relay ends by itself, the exit code is 1.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# Seconds that the relay may take to answer, and those that it has to end before
# it is killed: workerd ignores SIGTERM after a panic in WebAssembly.
READY_TIMEOUT=120
END_GRACE=2

port=8787
debug=false
bare=false
build=true
check=true
state=''
inspect=''
vars=()

# The value that an option needs.
value_of() {
  if [ $# -lt 2 ] || [ -z "$2" ]; then usage_error "dev.sh: $1 needs a value"; fi
  printf '%s' "$2"
}
# port_of LEAST OPTION VALUE
port_of() {
  local value least=$1
  shift
  value=$(value_of "$@") || exit 2
  if ! [[ $value =~ ^(0|[1-9][0-9]{0,4})$ ]] || [ "$value" -gt 65535 ] || [ "$value" -lt "$least" ]; then
    usage_error "dev.sh: $1 needs a port from $least to 65535, not '$value'"
  fi
  printf '%s' "$value"
}

while [ $# -gt 0 ]; do
  case $1 in
    --port)
      port=$(port_of 0 "$@") || exit 2
      shift
      ;;
    --inspect)
      inspect=$(port_of 1 "$@") || exit 2
      shift
      ;;
    --state)
      state=$(value_of "$@") || exit 2
      shift
      ;;
    --debug) debug=true ;;
    --bare) bare=true ;;
    --no-build) build=false ;;
    --no-check) check=false ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*) usage_error "dev.sh: unknown option '$1'" ;;
    *=*) vars+=("$1") ;;
    *) usage_error "dev.sh: '$1' is neither an option nor NAME=VALUE" ;;
  esac
  shift
done
if [ -n "$state" ]; then
  if [ -e "$state" ] && [ ! -d "$state" ]; then usage_error "dev.sh: --state needs a folder, and '$state' is a file"; fi
  # As the caller meant it: relative to where they are.
  case $state in /*) ;; *) state=$PWD/$state ;; esac
fi

cd "$ROOT"

# ---- ending -----------------------------------------------------------------

# What runs now, and whether it leads a process group of its own.
child=''
child_is_group=false
scratch=''

# shellcheck disable=SC2317 # called by the trap
signal_child() {
  if $child_is_group; then kill "-$1" -- "-$child" 2>/dev/null; else kill "-$1" "$child" 2>/dev/null; fi
}

# Ends what runs, politely first, and removes what was made for it.
# shellcheck disable=SC2317 # called by the trap
end_all() {
  trap '' INT TERM HUP
  local waited=0
  if [ -n "$child" ] && signal_child TERM; then
    while signal_child 0 && [ "$waited" -lt $((END_GRACE * 20)) ]; do
      sleep 0.05
      waited=$((waited + 1))
    done
    signal_child KILL || true
    wait "$child" 2>/dev/null || true
  fi
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}
trap end_all EXIT
trap 'exit 0' INT TERM HUP

# Runs a command with a process group of its own, so that all that it starts can
# be ended with it, also in the middle of a build.
start_group() {
  child_is_group=true
  set -m
  "$@" </dev/null >&2 &
  child=$!
  set +m
}
run_group() {
  local code=0
  start_group "$@"
  wait "$child" || code=$?
  child=''
  return "$code"
}

# ---- being ready ------------------------------------------------------------

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# Asks /healthz and prints the whole answer, if there is one.
ask_healthz() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
    printf 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$port" >&3
    with_timeout 5 cat <&3
  ) 2>/dev/null
}

# Chooses a port that is free. It is below those that systems give to outgoing
# connections (from 32768 on, or higher): else another program's connection could
# take it before the relay listens, or while a test restarts a relay.
choose_port() {
  local tries=0
  until port=$((15000 + (RANDOM << 15 | RANDOM) % 15000)) && ! port_taken; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || die "no free port was found between 15000 and 30000"
  done
}

# Waits until the relay answers. Returns 1 if it ended because another program
# was quicker to take the port that was chosen for it.
await_ready() {
  local deadline=$((SECONDS + READY_TIMEOUT)) answer
  while kill -0 "$child" 2>/dev/null; do
    if answer=$(ask_healthz | tr -d '\0\r'); then
      case $answer in
        'HTTP/1.1 200 '*) return 0 ;;
        'HTTP/'*)
          if ! $check; then return 0; fi
          # Such an answer is the relay's last word; others may be wrangler's,
          # which still starts.
          case $answer in
            *'"misconfigured"'*) die "the relay refuses its settings: ${answer##*$'\n'}" ;;
          esac
          ;;
      esac
    fi
    [ "$SECONDS" -lt "$deadline" ] || die "the relay did not answer within $READY_TIMEOUT s; its log is above"
    sleep 0.05
  done
  local code=0
  wait "$child" || code=$?
  child=''
  if $any_port && port_taken; then return 1; fi
  die "the relay ended before it answered (exit code $code); the reason is above"
}

# Are the names of NAME=VALUE known? wrangler itself takes any.
check_names() {
  [ "${#vars[@]}" -gt 0 ] || return 0
  node --input-type=module - "${vars[@]}" <<'JS' || exit 1
import { readWrangler, varsOf } from "./scripts/wrangler-toml.mjs"
try {
  varsOf(readWrangler(), process.argv.slice(2))
} catch (error) {
  console.error(`error: ${error.message}`)
  process.exit(1)
}
JS
}

# ---- running ----------------------------------------------------------------

any_port=false
if [ "$port" -eq 0 ]; then
  any_port=true
elif port_taken; then
  die "port $port of this machine is taken: another relay, or another program. End that one, or choose another port: scripts/dev.sh --port $((port < 65535 ? port + 1 : port - 1))"
fi

if $build; then
  if ! ./scripts/setup.sh --check 2>/dev/null; then
    step "installing what is missing (once; some minutes)"
    run_group ./scripts/setup.sh || die "scripts/setup.sh failed; the reason is above"
  fi
  check_names
  run_group ./scripts/build.sh || die "scripts/build.sh failed; the reason is above"
elif [ ! -f build/index.js ] || [ ! -x node_modules/.bin/node ]; then
  die "there is no build here to run without building; leave out --no-build"
else
  check_names
fi

# What this run makes, named after this script's pid; and what runs that were
# killed could not remove.
tmp=${TMPDIR:-/tmp}
for old in "$tmp"/agent-socket.*.??????; do
  owner=${old#"$tmp"/agent-socket.}
  owner=${owner%%.*}
  if [ -O "$old" ] && [[ $owner =~ ^[0-9]+$ ]] && ! kill -0 "$owner" 2>/dev/null; then rm -rf "$old"; fi
done
scratch=$(mktemp -d "$tmp/agent-socket.$$.XXXXXX")

start_bare() {
  local config=(--out "$scratch" --port "$port") workerd serve
  if $debug; then config+=(--debug); fi
  if [ -n "$state" ]; then config+=(--state "$state"); fi
  workerd=$(node scripts/workerd-config.mjs "${config[@]}" -- ${vars[@]+"${vars[@]}"}) || exit 1

  serve=("$workerd" serve)
  if [ -n "$inspect" ]; then serve+=("--inspector-addr=127.0.0.1:$inspect"); fi
  serve+=("$scratch/config.capnp")
  # On Linux the runtime dies with this script, whatever this script dies of.
  if have setpriv && setpriv --pdeathsig KILL true 2>/dev/null; then serve=(setpriv --pdeathsig KILL "${serve[@]}"); fi
  # Each connection takes a file descriptor or two.
  ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
  # In this script's own process group: who ends the group, ends the runtime.
  "${serve[@]}" </dev/null >&2 &
  child=$!
  child_is_group=false
}

# Its log has a line for each request. It sees no terminal, so it must be told
# that colours are wanted.
# shellcheck disable=SC2317 # start_group calls it
wrangler_without_tokens() {
  if [ -n "$C_BOLD" ]; then export FORCE_COLOR=1; fi
  wrangler "$@" 2>&1 | hide_tokens
}

start_wrangler() {
  local args=(--ip 127.0.0.1 --port "$port" --local --show-interactive-dev-session=false
    --infer-origin-from-routes=false --inspector-port "${inspect:-0}") var
  if [ -n "$state" ]; then args+=(--persist-to "$state"); fi
  for var in ${vars[@]+"${vars[@]}"}; do args+=(--var "${var%%=*}:${var#*=}"); done
  start_group wrangler_without_tokens dev "${args[@]}"
}

if ! $bare; then
  if $debug; then vars+=(DEBUG=1); fi
  quiet_wrangler
  # No fetch from outside, and none of what .env holds becomes a var.
  export CLOUDFLARE_CF_FETCH_ENABLED=false CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV=false
  export WRANGLER_LOG_PATH="$scratch/wrangler.log"
  if ! $build; then export SKIP_BUILD=1; fi
fi

while true; do
  if $any_port; then choose_port; fi
  if $bare; then start_bare; else start_wrangler; fi
  if await_ready; then break; fi
  info "port $port was taken meanwhile; trying another"
done
if $bare; then echo "pid $child"; fi
echo "ready http://127.0.0.1:$port"
if [ -t 2 ]; then info "open http://localhost:$port; Ctrl-C ends the relay"; fi

code=0
wait "$child" || code=$?
child=''
die "the relay ended by itself (exit code $code)"
