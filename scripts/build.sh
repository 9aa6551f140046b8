#!/usr/bin/env bash
# Builds the Worker into build/: Rust compiled to WebAssembly, optimised and
# bundled. Does nothing if neither the sources nor the tools have changed since
# the last build.
#
# Usage: scripts/build.sh [--force] [--size]
#
#   --force    build even if nothing has changed
#   --size     afterwards, print the size of an upload, plain and gzipped
#   --help     show this text
#
# `wrangler dev` runs this by itself ([build] in wrangler.toml). With SKIP_BUILD=1
# it leaves build/ as it is.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

force=false
size=false
while [ $# -gt 0 ]; do
  case $1 in
    --force) force=true ;;
    --size) size=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "build.sh: unknown argument '$1'" ;;
  esac
  shift
done

cd "$ROOT"
stamp=$TOOLS_DIR/build.stamp

if [ "${SKIP_BUILD:-}" = 1 ] && ! $force; then
  [ -f build/index.js ] || die "there is no build yet, and SKIP_BUILD=1 (or --no-build) says not to make one; run ./scripts/build.sh"
  exit 0
fi

use_wasm_toolchain
for tool in worker-build wasm-bindgen wasm-opt esbuild; do
  have "$tool" || die "$tool is not installed; run ./scripts/setup.sh"
done

# Everything that the output depends on, as one hash.
inputs() {
  {
    rustc -vV
    wasm-bindgen --version
    printf '%s\n' "${RUSTFLAGS:-}"
    for path in src crates Cargo.toml Cargo.lock build.rs apps.json package-lock.json scripts/build.sh scripts/esbuild.sh scripts/upload-profile.toml .cargo; do
      if [ -e "$path" ]; then find "$path" -type f -print0; fi
    done | LC_ALL=C sort -z | xargs -0 "${SHA256[@]}"
  } | sha256
}
# What was made, so that a missing or a changed file is noticed too.
outputs() {
  [ -f build/index.js ] && [ -f build/index_bg.wasm ] && cat build/index.js build/index_bg.wasm | sha256
}

started=$(now_ms)
wanted=$(inputs)
if ! $force && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted $(outputs)" ]; then
  info "build/ is up to date ($(since "$started"))"
else
  step "building the Worker for WebAssembly"
  rm -f "$stamp"
  # Cargo.lock decides in CI; elsewhere cargo may write a new dependency to it.
  args=(--release -- --config scripts/upload-profile.toml)
  if [ -n "${CI:-}" ]; then args+=(--locked); fi
  # A person sees cargo's own progress. Its output goes to stderr, like ours.
  RUST_BACKTRACE=0 worker-build "${args[@]}" >&2 || die "the WebAssembly build failed; the reason is above"
  # worker-build optimises lightly and keeps the names of functions, always. They
  # would make a tenth of the upload: a panic tells its file and line without
  # them. The features are those that worker-build allows.
  features=(mutable-globals sign-ext nontrapping-float-to-int bulk-memory multivalue reference-types exception-handling)
  "$WASM_OPT_BIN" "${features[@]/#/--enable-}" -Os --strip-debug --strip-producers --strip-target-features \
    build/index_bg.wasm -o build/index_bg.wasm || die "wasm-opt failed; the reason is above"
  mkdir -p "$TOOLS_DIR"
  echo "$wanted $(outputs)" >"$stamp"
  ok "built in $(since "$started")"
fi

# The SDK and the examples, which the relay serves; a matter of two seconds.
node sdk/build.mjs >&2 || die "the SDK's build failed; the reason is above"

if $size; then show_upload_size; fi
