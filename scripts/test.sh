#!/usr/bin/env bash
# Runs every check of the project, as CI does.
#
# Usage: scripts/test.sh [part…]
#
# Parts, in the order in which they run when none is named:
#   * shellcheck   the scripts' own linter
#   * scripts      the scripts' own tests
#   * fmt          the Rust is formatted
#   * clippy       the Rust is free of warnings, for this machine and for WebAssembly
#   * unit         unit and property tests of every crate
#   * instructions the core's hot path takes no more instructions than it did
#   * wasm         the Worker's build and the size of its upload
#   * deploy       all that a deploy checks before it uploads
#   * harness      end-to-end scenarios against the relay
#   * page         the demo and the page for people in a real browser
#                  (tests/page/, tests/doors-page/)
#   * sdk          the SDK on Node 20 and 22, and the examples in a real browser
#   * mcp          the MCP door: the official conformance suite and real clients
#   * doors        the OpenAPI document under a validator, a code generator and
#                  a tester that others wrote (tests/doors/)
#
# scripts/setup.sh runs first. A part that fails doesn't keep the others from
# running: a table at the end tells each part's result and time, and the exit
# code is 1 if one failed. The last line is `N passed, N failed`, of parts.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

PARTS=(shellcheck scripts fmt clippy unit instructions wasm deploy harness page sdk mcp doors)

parts=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    -*) usage_error "test.sh: unknown option '$1'" ;;
    *)
      [[ " ${PARTS[*]} " == *" $1 "* ]] || usage_error "test.sh: there is no part '$1'; there are ${PARTS[*]}"
      parts+=("$1")
      ;;
  esac
  shift
done
if [ "${#parts[@]}" -eq 0 ]; then parts=("${PARTS[@]}"); fi

cd "$ROOT"
# Warnings would be lost in what is built once and then kept: they are errors
# for clippy, and rustc's own are among clippy's.
quiet_wrangler
export CARGO_TERM_PROGRESS_WHEN=never

# In CI what Cargo.lock says is what is tested.
locked=()
if [ -n "${CI:-}" ]; then locked=(--locked); fi
cargo_() {
  local command=$1
  shift
  cargo "$command" ${locked[@]+"${locked[@]}"} "$@"
}

# ---- the parts --------------------------------------------------------------
# Each is a chain, as `set -e` has no effect inside of them.

part_shellcheck() {
  have shellcheck || {
    error "shellcheck is not installed; ./scripts/setup.sh tells how to get it"
    return 1
  }
  shellcheck -x scripts/*.sh sdk/*.sh .ci/run
}

part_scripts() { node --test --test-reporter=spec 'scripts/test/*.test.mjs'; }

part_fmt() { cargo fmt --all --check; }

part_clippy() {
  cargo_ clippy --workspace --all-targets -- -D warnings && {
    # Clippy comes with rustup's toolchain. Debian's compiler has none, and then
    # the run for this machine, which covers the same code, has to do.
    if [ "$(wasm_toolchain)" = default ]; then
      cargo_ clippy -p agent-socket-relay --lib --target "$WASM_TARGET" -- -D warnings
    else
      info "clippy for WebAssembly left out: the toolchain that builds it here has no clippy"
    fi
  }
}

part_unit() { cargo_ test --workspace; }

part_instructions() {
  if [ "$(uname -s)" != Linux ]; then
    info "left out: valgrind counts them on Linux only"
    return 0
  fi
  ./scripts/instructions.sh
}

part_wasm() { ./scripts/build.sh --size; }

part_deploy() { ./scripts/deploy.sh check; }

part_harness() { ./scripts/build.sh && cargo_ run -p harness -- all; }

find_chromium() {
  command -v chromium || command -v chromium-browser || command -v google-chrome || {
    error "no Chromium here; ./scripts/setup.sh tells how to get it"
    return 1
  }
}

part_page() {
  local chromium
  chromium=${CHROMIUM_BIN:-$(find_chromium)} &&
    ./scripts/build.sh && CHROMIUM_BIN=$chromium node --test --test-reporter=spec 'tests/page/*.test.mjs' 'tests/doors-page/*.test.mjs'
}

part_sdk() {
  local chromium
  chromium=${CHROMIUM_BIN:-$(find_chromium)} &&
    ./scripts/build.sh && CHROMIUM_BIN=$chromium ./sdk/test.sh
}

# The clients' own build comes first, so that its time is not the tests'.
part_mcp() {
  ./scripts/build.sh && cargo_ build -p mcp-rmcp && node --test --test-reporter=spec 'tests/mcp/*.test.mjs'
}

part_doors() {
  [ -f "$TOOLS_DIR/python/installed" ] || {
    error "the Python packages for this part are missing; ./scripts/setup.sh tells why"
    return 1
  }
  ./scripts/build.sh && node --test --test-reporter=spec 'tests/doors/*.test.mjs'
}

# ---- running them -----------------------------------------------------------

table=''
passed=0
failed=0
started_all=$(now_ms)

part() {
  case $1 in
    setup) ./scripts/setup.sh ;;
    shellcheck) part_shellcheck ;;
    scripts) part_scripts ;;
    fmt) part_fmt ;;
    clippy) part_clippy ;;
    unit) part_unit ;;
    instructions) part_instructions ;;
    wasm) part_wasm ;;
    deploy) part_deploy ;;
    harness) part_harness ;;
    page) part_page ;;
    sdk) part_sdk ;;
    mcp) part_mcp ;;
    doors) part_doors ;;
  esac
}

# run NAME: runs a part and notes how it went.
run() {
  local name=$1 started code=0 result
  started=$(now_ms)
  step "$name"
  part "$name" || code=$?
  case $code in
    0)
      passed=$((passed + 1))
      result="${C_GREEN}passed$C_OFF"
      ;;
    *)
      failed=$((failed + 1))
      result="${C_RED}FAILED$C_OFF"
      ;;
  esac
  table+=$(printf '    %-12s %-10s %s' "$name" "$(since "$started")" "$result")$'\n'
  info "$name: $result, $(since "$started")"
}

finish() {
  step "all parts: $(since "$started_all")"
  printf '%s' "$table" >&2
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ] || exit 1
  exit 0
}

run setup
# Nothing else can tell anything without its tools.
if [ "$failed" -gt 0 ]; then finish; fi

for name in "${parts[@]}"; do run "$name"; done
finish
