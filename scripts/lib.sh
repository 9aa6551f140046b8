#!/usr/bin/env bash
# Helpers shared by the scripts in this folder. Sourced, never run.
#
# What a script gets: ROOT (the repository), logging that goes to stderr (so
# stdout stays for a script's result), timing, versions read from the lock
# files, and the environment that the WebAssembly build needs.

if [ "${BASH_VERSINFO[0]}" -lt 4 ] || { [ "${BASH_VERSINFO[0]}" -eq 4 ] && [ "${BASH_VERSINFO[1]}" -lt 4 ]; }; then
  echo "error: these scripts need bash 4.4 or newer; this is $BASH_VERSION" >&2
  exit 1
fi

ROOT=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# Everything setup.sh installs for this project alone: cargo's helper binaries,
# logs of long steps, and notes on what was chosen.
TOOLS_DIR=$ROOT/.tools
# The name setup.sh links Debian's compiler under when rustup can't fetch the
# WebAssembly target.
DISTRO_TOOLCHAIN=distro
WASM_TARGET=wasm32-unknown-unknown

# Node 22 comes from npm's `node` package: wrangler needs it, and many machines
# have an older one. The project's own helper binaries come first of all.
export PATH="$TOOLS_DIR/bin:$ROOT/node_modules/.bin:$PATH"

# What opens an account at Cloudflare stays in the shell that it was given to: no
# installer, compiler or build script finds it in its environment. These are all
# the names that wrangler knows. Only deploy.sh hands it on, to wrangler.
export -n CLOUDFLARE_API_TOKEN CLOUDFLARE_ACCOUNT_ID CLOUDFLARE_API_KEY CLOUDFLARE_EMAIL \
  CF_API_TOKEN CF_ACCOUNT_ID CF_API_KEY CF_EMAIL

# ---- output -----------------------------------------------------------------

# Colours only for a person: a terminal that is not dumb, and no NO_COLOR.
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  C_BOLD=$'\e[1m' C_DIM=$'\e[2m' C_RED=$'\e[31m' C_GREEN=$'\e[32m' C_YELLOW=$'\e[33m' C_OFF=$'\e[0m'
else
  C_BOLD='' C_DIM='' C_RED='' C_GREEN='' C_YELLOW='' C_OFF=''
fi

step() { printf '%s==>%s %s\n' "$C_BOLD" "$C_OFF" "$*" >&2; }
info() { printf '    %s\n' "$*" >&2; }
ok() { printf '    %s%s%s\n' "$C_GREEN" "$*" "$C_OFF" >&2; }
warn() { printf '%swarning:%s %s\n' "$C_YELLOW" "$C_OFF" "$*" >&2; }
error() { printf '%serror:%s %s\n' "$C_RED" "$C_OFF" "$*" >&2; }
die() {
  error "$@"
  exit 1
}

# A mistake in how a script was called: exit code 2, and where to read more.
usage_error() {
  error "$*"
  printf '       %s --help tells what it takes\n' "${0##*/}" >&2
  exit 2
}

# Prints the comment block at the top of the calling script as its usage text.
usage() {
  awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"
}

# ---- time -------------------------------------------------------------------

now_ms() {
  if [ -n "${EPOCHREALTIME:-}" ]; then
    local t=${EPOCHREALTIME/[^0-9]/}
    echo $((t / 1000))
  else
    echo "$(date +%s)000"
  fi
}

# 950 ms, 12.3 s, 4 min 05 s
show_ms() {
  local ms=$1
  if [ "$ms" -lt 1000 ]; then
    printf '%d ms' "$ms"
  elif [ "$ms" -lt 60000 ]; then
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
  else
    printf '%d min %02d s' $((ms / 60000)) $((ms % 60000 / 1000))
  fi
}

since() { show_ms $(($(now_ms) - $1)); }

# ---- running things ---------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

# How many processors this machine has.
processors() { nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2; }

# with_timeout SECONDS COMMAND…: as it is where there is no `timeout` (macOS).
with_timeout() {
  local seconds=$1
  shift
  if have timeout; then timeout -k 5 "$seconds" "$@"; else "$@"; fi
}

# The last line of a log, as far as it is of use in a line of progress: without
# colours, and no longer than 100 characters.
last_line() {
  local line
  line=$(tail -n 1 "$1" 2>/dev/null | tr -d '\r' | sed -E $'s/\e\\[[0-9;]*m//g; s/^ +//')
  printf '%s' "${line:0:100}"
}

# run_logged NAME COMMAND…: runs a long command with its output in a log file,
# shows every 20 s that it is alive and what it is at, and the log's end when it
# fails. Returns the command's exit code.
run_logged() {
  local name=$1 log started pid code=0
  shift
  mkdir -p "$TOOLS_DIR/log"
  log=$TOOLS_DIR/log/$name.log
  started=$(now_ms)
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  (
    # The watcher ends by itself when the command does, and at the latest a
    # second later.
    ticks=0
    while kill -0 "$pid" 2>/dev/null; do
      sleep 1
      ticks=$((ticks + 1))
      if [ $((ticks % 20)) -eq 0 ]; then
        info "${C_DIM}… $(since "$started"): $(last_line "$log")$C_OFF"
      fi
    done
  ) &
  local watcher=$!
  wait "$pid" || code=$?
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  if [ "$code" -ne 0 ]; then
    error "$name failed with exit code $code after $(since "$started"); the end of ${log#"$ROOT"/}:"
    tail -n 40 "$log" | sed 's/^/    | /' >&2
  fi
  return "$code"
}

# The command that prints SHA-256 sums, of the files it is given or of stdin.
if have sha256sum; then SHA256=(sha256sum); else SHA256=(shasum -a 256); fi

# The SHA-256 of what comes in, in hex.
sha256() { "${SHA256[@]}" | cut -d' ' -f1; }

# ---- versions ---------------------------------------------------------------

# The version of a crate in Cargo.lock; nothing when it isn't there.
cargo_lock_version() {
  [ -f "$ROOT/Cargo.lock" ] || return 0
  awk -v name="$1" '
    $1 == "name" { gsub(/"/, "", $3); found = ($3 == name) }
    $1 == "version" && found { gsub(/"/, "", $3); print $3; exit }
  ' "$ROOT/Cargo.lock"
}

# ---- the WebAssembly toolchain ----------------------------------------------

# Does the given toolchain ("" = the one in use) hold the target's std?
toolchain_has_wasm() {
  local dir
  dir=$(RUSTUP_TOOLCHAIN=${1:-${RUSTUP_TOOLCHAIN:-}} rustup_or_plain rustc --print target-libdir --target "$WASM_TARGET" 2>/dev/null) || return 1
  compgen -G "$dir/libstd-*.rlib" >/dev/null
}

# An empty RUSTUP_TOOLCHAIN is an error for rustup, so it is dropped.
rustup_or_plain() {
  if [ -n "${RUSTUP_TOOLCHAIN:-}" ]; then "$@"; else env -u RUSTUP_TOOLCHAIN "$@"; fi
}

# Which toolchain builds for WebAssembly: prints `default` (the one in use) or
# the name of the linked one; fails when neither can. WASM_TOOLCHAIN, or what
# `setup.sh --distro` noted, decides when both can.
wasm_toolchain() {
  local wanted=${WASM_TOOLCHAIN:-}
  if [ -z "$wanted" ] && [ -f "$TOOLS_DIR/wasm-toolchain" ]; then
    wanted=$(cat "$TOOLS_DIR/wasm-toolchain")
  fi
  if [ -n "$wanted" ] && [ "$wanted" != default ]; then
    if toolchain_has_wasm "$wanted"; then
      echo "$wanted"
      return 0
    fi
  fi
  if toolchain_has_wasm ""; then
    echo default
  elif toolchain_has_wasm "$DISTRO_TOOLCHAIN"; then
    echo "$DISTRO_TOOLCHAIN"
  else
    return 1
  fi
}

# Points cargo and worker-build at the toolchain and the pinned binaries.
use_wasm_toolchain() {
  local chosen
  chosen=$(wasm_toolchain) || die "no Rust toolchain here can build for $WASM_TARGET; run ./scripts/setup.sh"
  if [ "$chosen" != default ]; then export RUSTUP_TOOLCHAIN=$chosen; fi
  export WASM_BINDGEN_BIN=$TOOLS_DIR/bin/wasm-bindgen
  export WASM_OPT_BIN=$ROOT/node_modules/.bin/wasm-opt
  export ESBUILD_BIN=$ROOT/scripts/esbuild.sh
}

# ---- wrangler ---------------------------------------------------------------

# Tells wrangler to send no statistics and to offer nothing.
quiet_wrangler() {
  export WRANGLER_SEND_METRICS=false WRANGLER_SEND_ERROR_REPORTS=false
  export WRANGLER_HIDE_BANNER=true WRANGLER_NO_SKILLS_UPDATE_PROMPTS=true
  if [ -z "$C_BOLD" ]; then export NO_COLOR=1; fi
}

# A line of wrangler's log shows the request's URL: a link there could be used by
# whoever sees it.
hide_tokens() { sed -u -E 's#(/v1/t/)[^/?" ]+#\1…#g'; }

# ---- the upload -------------------------------------------------------------

# The most an upload may weigh, gzipped. Cloudflare takes 3 MB on the free plan;
# this keeps a cold start short.
MAX_UPLOAD_GZIP_BYTES=350000

# Prints bytes and gzipped bytes of what an upload holds.
upload_size() {
  local file raw=0 zipped=0
  for file in index.js index_bg.wasm; do
    [ -f "$ROOT/build/$file" ] || return 1
    raw=$((raw + $(wc -c <"$ROOT/build/$file")))
    zipped=$((zipped + $(gzip -9 -n -c "$ROOT/build/$file" | wc -c)))
  done
  echo "$raw $zipped"
}

# Prints the sizes for a person; fails when the upload is too large.
show_upload_size() {
  local raw zipped
  read -r raw zipped < <(upload_size) || die "build/ holds no build; run ./scripts/build.sh"
  printf 'upload: %d bytes, %d gzipped (at most %d)\n' "$raw" "$zipped" "$MAX_UPLOAD_GZIP_BYTES"
  [ "$zipped" -le "$MAX_UPLOAD_GZIP_BYTES" ]
}
