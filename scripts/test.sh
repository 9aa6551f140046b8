#!/usr/bin/env bash
# Runs every check of the project, as CI does.
#
# Usage: scripts/test.sh [--jobs N] [part…]
#        scripts/test.sh --long
#
#   --jobs N   run at most N parts side by side; 1 runs one after the other and
#              shows what they print at once. Default: the number of processors
#   --long     run what takes too long for CI, by hand: the parts `kills`, `soak`,
#              `native-kills`, `native-soak`
#   --help     this text
#
# Parts, in the order in which they start when none is named:
#   * wasm         the Worker's build and the size of its upload
#   * fmt          the Rust is formatted
#   * scripts      the scripts' own tests
#   * shellcheck   the scripts' own linter
#   * clippy       the Rust has no warnings, for this machine and for WebAssembly
#   * programs     the tests' own programs build: the scenarios, an MCP client
#   * unit         unit and property tests of every crate
#   * harness      end-to-end scenarios against the relay
#   * native       the same scenarios against the native relay
#   * page         the demo and the page for people in a real browser
#                  (tests/page/, tests/doors-page/)
#   * sdk          the SDK on Node 20 and 22, and the examples in a real browser
#   * mcp          the MCP door: the official conformance suite and real clients
#   * doors        the OpenAPI document under a validator, a code generator and
#                  a tester that others wrote (tests/doors/)
#   * deploy       all that a deploy checks before it uploads
#   * instructions the core's hot path takes no more instructions than it did
# Parts that run only when they are named:
#   * deny         what the project depends on is allowed (deny.toml); wants
#                  cargo-deny: cargo install cargo-deny --locked
#   * kills        200 kills of the runtime in the middle of its work (10 minutes)
#   * soak         30 minutes of calls with drops: nothing lost, memory flat
#   * native-kills, native-soak
#                  the same of the native relay
#
# scripts/setup.sh runs first, and `wasm` and `programs` before the parts that need
# them, also when only those are named.
# Parts that share nothing run side by side; each prints its output when it ends,
# and every 20 s a line tells what runs. A part that fails doesn't keep the
# others from running: a table at the end shows each part's time and result, and
# the exit code is 1 if one failed. The last line is `N passed, N failed`, of
# parts. Ctrl-C ends everything that was started.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/parallel.sh
. "$ROOT/scripts/parallel.sh"

PARTS=(wasm fmt scripts shellcheck clippy programs unit harness native page sdk mcp doors deploy instructions)
LONG_PARTS=(kills soak native-kills native-soak)
EXTRA_PARTS=(deny "${LONG_PARTS[@]}")

jobs=''
parts=()
while [ $# -gt 0 ]; do
  case $1 in
    --jobs)
      [[ ${2:-} =~ ^[1-9][0-9]?$ ]] || usage_error "test.sh: --jobs needs a number from 1 to 99"
      jobs=$2
      shift
      ;;
    --long) parts+=("${LONG_PARTS[@]}") ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*) usage_error "test.sh: unknown option '$1'" ;;
    *)
      [[ " ${PARTS[*]} ${EXTRA_PARTS[*]} " == *" $1 "* ]] ||
        usage_error "test.sh: there is no part '$1'; there are ${PARTS[*]} ${EXTRA_PARTS[*]}"
      parts+=("$1")
      ;;
  esac
  shift
done
if [ "${#parts[@]}" -eq 0 ]; then parts=("${PARTS[@]}"); fi
if [ -z "$jobs" ]; then
  jobs=$(processors)
  # One part needs no log: its output is shown as it comes.
  if [ "${#parts[@]}" -eq 1 ]; then jobs=1; fi
fi

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

part_programs() {
  cargo_ build -p harness -p mcp-rmcp &&
    cargo_ build -p agent-socket-server --example relay &&
    keep_native
}

# The native relay and the scenarios for it, beside each other, out of the way of
# whoever builds either again meanwhile.
keep_native() {
  local folder
  folder=$(built native)
  mkdir -p "$folder/examples" &&
    cp "$(built harness)" "$folder/harness" &&
    cp "$(built examples)/relay" "$folder/examples/relay"
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

# The path of a program that `programs` built: `cargo run` would wait for whoever
# builds something else meanwhile.
built() {
  cargo_ metadata --no-deps --format-version 1 | sed -n "s|.*\"target_directory\":\"\([^\"]*\)\".*|\1/debug/$1|p"
}

part_harness() { "$(built harness)" all; }

part_kills() { HARNESS_KILLS=200 "$(built harness)" 70; }

part_soak() { HARNESS_SOAK_S=1800 "$(built harness)" 71; }

part_native() { "$(built native)/harness" all --shell native; }

part_native_kills() { HARNESS_KILLS=200 "$(built native)/harness" 70 --shell native; }

part_native_soak() { HARNESS_SOAK_S=1800 "$(built native)/harness" 71 --shell native; }

# Advisories need the network, and change without a commit: the workflow for
# GitHub looks at them.
part_deny() {
  have cargo-deny || {
    error "cargo-deny is not installed: cargo install cargo-deny --locked"
    return 1
  }
  cargo deny --locked check bans licenses sources
}

find_chromium() {
  command -v chromium || command -v chromium-browser || command -v google-chrome || {
    error "no Chromium here; ./scripts/setup.sh tells how to get it"
    return 1
  }
}

part_page() {
  local chromium
  chromium=${CHROMIUM_BIN:-$(find_chromium)} &&
    CHROMIUM_BIN=$chromium node --test --test-reporter=spec 'tests/page/*.test.mjs' 'tests/doors-page/*.test.mjs'
}

part_sdk() {
  local chromium
  chromium=${CHROMIUM_BIN:-$(find_chromium)} && CHROMIUM_BIN=$chromium ./sdk/test.sh
}

part_mcp() { MCP_RMCP=$(built mcp-rmcp) node --test --test-reporter=spec 'tests/mcp/*.test.mjs'; }

part_doors() {
  [ -f "$TOOLS_DIR/python/installed" ] || {
    error "the Python packages for this part are missing; ./scripts/setup.sh tells why"
    return 1
  }
  node --test --test-reporter=spec 'tests/doors/*.test.mjs'
}

# ---- running them -----------------------------------------------------------

part() {
  case $1 in
    setup) ./scripts/setup.sh ;;
    shellcheck) part_shellcheck ;;
    scripts) part_scripts ;;
    fmt) part_fmt ;;
    clippy) part_clippy ;;
    programs) part_programs ;;
    unit) part_unit ;;
    instructions) part_instructions ;;
    deny) part_deny ;;
    wasm) part_wasm ;;
    deploy) part_deploy ;;
    harness) part_harness ;;
    kills) part_kills ;;
    soak) part_soak ;;
    native) part_native ;;
    native-kills) part_native_kills ;;
    native-soak) part_native_soak ;;
    page) part_page ;;
    sdk) part_sdk ;;
    mcp) part_mcp ;;
    doors) part_doors ;;
  esac
}

# Those that run a relay need its build.
needs_of() {
  case $1 in
    harness | kills | soak | mcp) echo programs wasm ;;
    native | native-kills | native-soak) echo programs ;;
    page | sdk | doors | deploy) echo wasm ;;
  esac
}

# `target` is cargo's own lock on what is built for this machine: a part that
# waited for it would only take a place.
holds_of() {
  case $1 in
    clippy | programs | unit) echo target ;;
    harness | kills | soak | native | native-kills | native-soak) echo relays ;;
  esac
}

finish() {
  local name passed=0 failed=0
  step "all parts: $(since "$started_all"); of each: its time, the processors' time, its result"
  for name in setup "${parts[@]}"; do
    case ${PART_RESULT[$name]:-} in
      passed) passed=$((passed + 1)) ;;
      '') continue ;;
      *) failed=$((failed + 1)) ;;
    esac
    printf '    %-12s %-13s %-13s %s\n' "$name" "$(show_ms "${PART_TOOK[$name]}")" "$(show_ms "${PART_CPU[$name]}")" \
      "$(show_result "${PART_RESULT[$name]}")" >&2
  done
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ] || exit 1
  exit 0
}

started_all=$(now_ms)
# Nothing else can tell anything without its tools.
run_parts 1 setup || finish

# What the chosen ones need comes with them.
for name in "${parts[@]}"; do
  for need in $(needs_of "$name"); do
    [[ " ${parts[*]} " == *" $need "* ]] || parts=("$need" "${parts[@]}")
  done
done
run_parts "$jobs" "${parts[@]}" || true
finish
