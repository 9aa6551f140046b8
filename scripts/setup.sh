#!/usr/bin/env bash
# Installs what the project needs to build, run and test. You may run it again at
# any time: it leaves what is there alone.
#
# Usage: scripts/setup.sh [--check] [--distro]
#
#   --check    install nothing; say what is missing, and exit with 1 if anything is
#   --distro   use Debian's compiler for WebAssembly even if rustup's can build it;
#              by default that is the fallback if rustup can't reach its server
#   --help     show this text
#
# It installs:
#   the Rust target wasm32-unknown-unknown    with rustup; if that fails, Debian's
#                                             rustc-web as the toolchain `distro`
#   Debian packages for tests and builds      with apt-get, as root on Debian only;
#                                             elsewhere it says what to install
#   wrangler, Node 22, esbuild, wasm-opt      into node_modules/, with npm ci
#   worker-build, wasm-bindgen                into .tools/, with cargo install
#                                             --locked, at Cargo.lock's versions
#   testers of the OpenAPI document           into .tools/python/, with pip and the
#                                             hashes of tests/doors/requirements.txt
#
# You need to have rustup with Rust (https://rustup.rs), Node with npm, and a C
# compiler. The script needs no credentials and leaves nothing running.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/debian.sh
. "$ROOT/scripts/debian.sh"

check_only=false
force_distro=false
while [ $# -gt 0 ]; do
  case $1 in
    --check) check_only=true ;;
    --distro) force_distro=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) usage_error "setup.sh: unknown argument '$1'" ;;
  esac
  shift
done

# Seconds that rustup gets to fetch the target before the fallback is tried.
RUSTUP_TIMEOUT=${RUSTUP_TIMEOUT:-120}
# Seconds to wait for somebody else's apt-get to finish.
APT_WAIT=600

cd "$ROOT"
unset RUSTUP_TOOLCHAIN
if ! $check_only; then mkdir -p "$TOOLS_DIR/bin"; fi

# ---- what is wanted ---------------------------------------------------------

# The worker crate and worker-build come from one repository, in step.
WORKER_BUILD_VERSION=$(cargo_lock_version worker)
WASM_BINDGEN_VERSION=$(cargo_lock_version wasm-bindgen)
if [ -z "$WORKER_BUILD_VERSION" ] || [ -z "$WASM_BINDGEN_VERSION" ]; then
  die "Cargo.lock names no version of 'worker' or of 'wasm-bindgen'; it belongs in the repository: git checkout Cargo.lock"
fi

is_root_on_debian() { [ "$(id -u)" = 0 ] && have apt-get && [ -f /etc/debian_version ]; }

chromium_path() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# Debian packages that are missing, one a line: what the build of worker-build
# links with, and what test.sh uses.
missing_packages() {
  have shellcheck || echo shellcheck
  chromium_path >/dev/null || echo chromium
  # Debian has the part of Python that makes environments as a package of its own.
  if ! have python3; then
    printf 'python3\npython3-venv\n'
  elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo python3-venv
  fi
  if [ "$(uname -s)" = Linux ]; then
    have valgrind || echo valgrind
    have cc || echo build-essential
    have pkg-config || echo pkg-config
    if ! have pkg-config || ! pkg-config --exists openssl; then echo libssl-dev; fi
  fi
}

npm_wanted() { sha256 <"$ROOT/package-lock.json"; }
npm_present() {
  [ -x node_modules/.bin/wrangler ] && [ -x node_modules/.bin/node ] &&
    [ "$(cat "$TOOLS_DIR/npm.stamp" 2>/dev/null)" = "$(npm_wanted)" ]
}

# An environment holds its own path, so it is of no use once it was moved.
python_wanted() {
  echo "$TOOLS_DIR/python"
  sha256 <"$ROOT/tests/doors/requirements.txt"
}
python_present() {
  "$TOOLS_DIR/python/bin/python" -c '' 2>/dev/null &&
    [ "$(cat "$TOOLS_DIR/python/installed" 2>/dev/null)" = "$(python_wanted)" ]
}

# cargo_tool_present NAME VERSION
cargo_tool_present() {
  [ -x "$TOOLS_DIR/bin/$1" ] &&
    [ "$("$TOOLS_DIR/bin/$1" --version 2>/dev/null | awk '{ print $NF }')" = "$2" ]
}

wasm_present() {
  local chosen
  chosen=$(wasm_toolchain) || return 1
  if [ "$chosen" = "$DISTRO_TOOLCHAIN" ]; then
    distro_std_current && have rust-lld
  elif $force_distro; then
    return 1
  fi
}

# ---- only look --------------------------------------------------------------

if $check_only; then
  missing=0
  miss() {
    missing=1
    warn "missing: $*"
  }
  if ! have cargo || ! have rustup; then miss "Rust by rustup (https://rustup.rs)"; fi
  have npm || miss "Node with npm (https://nodejs.org)"
  wasm_present || miss "the Rust target $WASM_TARGET"
  npm_present || miss "node_modules as package-lock.json has it"
  cargo_tool_present worker-build "$WORKER_BUILD_VERSION" || miss "worker-build $WORKER_BUILD_VERSION"
  cargo_tool_present wasm-bindgen "$WASM_BINDGEN_VERSION" || miss "wasm-bindgen $WASM_BINDGEN_VERSION"
  for package in $(missing_packages); do
    # Tests alone need these; a build and a relay do without.
    case $package in
      shellcheck | chromium | valgrind | python3 | python3-venv) ;;
      *) miss "$package" ;;
    esac
  done
  exit "$missing"
fi

# ---- steps ------------------------------------------------------------------

# The table at the end: a line for each step, with its time.
SUMMARY=''
started_all=$(now_ms)
# did NAME STARTED RESULT
did() {
  SUMMARY+=$(printf '    %-28s %-14s %s' "$1" "$(since "$2")" "$3")$'\n'
}

# apt COMMAND…: waits for another apt-get, ours or a background upgrade's.
apt() {
  local tries=0
  until DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout="$APT_WAIT" -y -q "$@"; do
    tries=$((tries + 1))
    # `update` doesn't wait for its own lock, so it is tried again.
    [ "$tries" -lt 4 ] || return 1
    echo "trying again in 10 s"
    sleep 10
  done
}
apt_install() {
  apt update && apt install --no-install-recommends "$@"
}

need_rust() {
  if ! have cargo || ! have rustc; then
    die "no Rust here. Get it with rustup, as https://rustup.rs says, open a new shell, and run this again."
  fi
  if ! have rustup; then
    warn "no rustup here: this Rust's own target for $WASM_TARGET is used if it has one. rustup is at https://rustup.rs"
  fi
  have npm || die "no npm here. Install Node with npm (https://nodejs.org or your system's package), and run this again."
}

install_packages() {
  local started missing
  started=$(now_ms)
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -eq 0 ]; then
    ok "Debian packages: all there"
    did "system packages" "$started" "there already"
    return
  fi
  step "system packages: ${missing[*]}"
  if is_root_on_debian; then
    run_logged apt apt_install "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
    did "system packages" "$started" "installed ${missing[*]}"
  else
    warn "install these with your system's package manager: ${missing[*]} (shellcheck, chromium, valgrind and python3 are for ./scripts/test.sh only)"
    did "system packages" "$started" "NOT installed: ${missing[*]}"
  fi
}

install_target() {
  local started chosen
  started=$(now_ms)
  if $force_distro; then
    echo "$DISTRO_TOOLCHAIN" >"$TOOLS_DIR/wasm-toolchain"
  fi
  if wasm_present; then
    chosen=$(wasm_toolchain)
    ok "target $WASM_TARGET: there, in the toolchain '$chosen'"
    did "target $WASM_TARGET" "$started" "there already ($chosen)"
    return
  fi
  step "target $WASM_TARGET"
  if ! $force_distro && have rustup; then
    info "rustup target add $WASM_TARGET, for at most $RUSTUP_TIMEOUT s"
    if run_logged rustup-target with_timeout "$RUSTUP_TIMEOUT" rustup target add "$WASM_TARGET" && toolchain_has_wasm ""; then
      rm -f "$TOOLS_DIR/wasm-toolchain"
      ok "added by rustup"
      did "target $WASM_TARGET" "$started" "added by rustup"
      return
    fi
    warn "rustup could not add it; Debian's compiler is used instead"
  fi
  install_distro_toolchain
  echo "$DISTRO_TOOLCHAIN" >"$TOOLS_DIR/wasm-toolchain"
  wasm_present || die "Debian's compiler is installed, but still does not find std for $WASM_TARGET"
  ok "Debian's compiler is linked as the toolchain '$DISTRO_TOOLCHAIN'"
  did "target $WASM_TARGET" "$started" "Debian's compiler, std built here"
}

install_npm() {
  local started
  started=$(now_ms)
  if npm_present; then
    ok "npm packages: all there"
    did "npm packages" "$started" "there already"
    return
  fi
  step "npm packages: npm ci"
  rm -f "$TOOLS_DIR/npm.stamp"
  run_logged npm npm ci --no-audit --no-fund || die "npm ci failed"
  npm_wanted >"$TOOLS_DIR/npm.stamp"
  # scripts/test/lockfiles.test.mjs says why.
  if [ "$(uname -s)" != Linux ]; then
    warn "package-lock.json has no hash for the Workers runtime (workerd) on this system: npm took what the registry sent"
  fi
  did "npm packages" "$started" "installed"
}

# For tests alone, so a build goes on without it.
install_python() {
  local started
  started=$(now_ms)
  if python_present; then
    ok "Python packages: all there"
    did "Python packages" "$started" "there already"
    return
  fi
  if ! have python3 || ! python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    warn "no Python 3.11 or newer with its venv module: ./scripts/test.sh doors needs one (Debian: python3 python3-venv)"
    did "Python packages" "$started" "NOT installed"
    return
  fi
  step "Python packages: pip install"
  rm -rf "$TOOLS_DIR/python"
  if run_logged python make_python; then
    python_wanted >"$TOOLS_DIR/python/installed"
    did "Python packages" "$started" "installed"
  else
    warn "pip could not install tests/doors/requirements.txt: ./scripts/test.sh doors needs it"
    did "Python packages" "$started" "NOT installed"
  fi
}

make_python() {
  python3 -m venv "$TOOLS_DIR/python" &&
    "$TOOLS_DIR/python/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes \
      -r tests/doors/requirements.txt
}

# cargo_install ARG…
#
# The two helpers run for a second or two in a build, and take minutes to
# compile: so they are compiled as quickly as rustc can. A lock file says what
# they are made of, with a checksum for each package: nothing else is taken.
cargo_install() {
  CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    cargo install "$@" --locked --root "$TOOLS_DIR" --no-track --force --target-dir "$TOOLS_DIR/target"
}

# install_cargo_tool BINARY VERSION ARG…: the arguments say where it comes from.
install_cargo_tool() {
  local started binary=$1 version=$2
  started=$(now_ms)
  shift 2
  if cargo_tool_present "$binary" "$version"; then
    ok "$binary $version: there"
    did "$binary $version" "$started" "there already"
    return
  fi
  step "$binary $version: cargo install, about a minute on two cores"
  run_logged "$binary" cargo_install "$@" || die "could not install $binary $version, as its lock file has it.
       If the log above names a package that was not found, the registry can't be reached or lacks that version:
       try again later, or with another registry (https://doc.rust-lang.org/cargo/reference/source-replacement.html)."
  cargo_tool_present "$binary" "$version" || die "$binary was installed, but .tools/bin/$binary is not version $version.
       It must be the version that Cargo.lock names; for wasm-bindgen, scripts/wasm-bindgen/Cargo.toml must name the same."
  did "$binary $version" "$started" "installed"
}

need_rust
install_packages
install_target
install_npm
install_python
install_cargo_tool worker-build "$WORKER_BUILD_VERSION" worker-build --version "=$WORKER_BUILD_VERSION"
install_cargo_tool wasm-bindgen "$WASM_BINDGEN_VERSION" --path scripts/wasm-bindgen
# What the two shared while they were compiled: not needed again.
rm -rf "$TOOLS_DIR/target"

step "setup done in $(since "$started_all")"
printf '%s' "$SUMMARY" >&2
