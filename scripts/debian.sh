#!/usr/bin/env bash
# Debian's compiler as a rustup toolchain that builds for WebAssembly: setup.sh
# falls back to it where rustup can't reach its server. Sourced by setup.sh,
# after lib.sh; never run.
#
# Debian's packages carry no std for the target, so that is built here, once,
# from the packaged source, and put where the compiler looks for it.

# Debian's compiler may have been upgraded since its std was built, or this
# script may build it in another way now. Then that std is of no use.
distro_std_recipe() {
  echo "recipe 2: with bitcode"
  /usr/bin/rustc -vV
}
distro_std_stamp() { echo "$1/../.built-with"; }
distro_std_current() {
  local libdir
  libdir=$(/usr/bin/rustc --print target-libdir --target "$WASM_TARGET" 2>/dev/null) || return 1
  compgen -G "$libdir/libstd-*.rlib" >/dev/null &&
    [ "$(cat "$(distro_std_stamp "$libdir")" 2>/dev/null)" = "$(distro_std_recipe)" ]
}

# Installs the packages, builds std, and links the toolchain.
install_distro_toolchain() {
  local libdir prefix
  is_root_on_debian || die "rustup could not add the target $WASM_TARGET, and the way around it needs root on Debian.
       Try again when rustup can reach its server: rustup target add $WASM_TARGET"
  have rustup || die "the way around rustup's target needs rustup itself, to link Debian's compiler. Get it from https://rustup.rs"
  if ! have /usr/bin/rustc || ! have /usr/bin/cargo || ! have /usr/bin/lld-22 || [ ! -d /usr/lib/rustlib/src/rust/library ]; then
    step "Debian's compiler: rustc-web cargo-web rust-web-src lld-22"
    run_logged apt-rust apt_install rustc-web cargo-web rust-web-src lld-22 || die "apt-get could not install Debian's compiler"
  fi
  # rustc calls the linker for WebAssembly by this name.
  ln -sf /usr/bin/lld-22 "$TOOLS_DIR/bin/rust-lld"
  prefix=$(/usr/bin/rustc --print sysroot)
  libdir=$(/usr/bin/rustc --print target-libdir --target "$WASM_TARGET")
  if ! distro_std_current; then
    step "std for $WASM_TARGET, built with Debian's compiler"
    run_logged build-std build_std "$libdir" || die "could not build std for $WASM_TARGET"
    # Cargo can't see that std is another one now: what was built on the old one
    # would no longer fit.
    rm -rf "$ROOT/target/$WASM_TARGET"
  fi
  rustup toolchain link "$DISTRO_TOOLCHAIN" "$prefix"
}

# build_std LIBDIR
build_std() {
  local libdir=$1 dir
  dir=$(mktemp -d)
  # A function that run_logged started in a subshell: this trap is that shell's.
  trap 'rm -rf "$dir"' EXIT
  mkdir -p "$dir/src"
  printf '[package]\nname = "std_for_wasm"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n' >"$dir/Cargo.toml"
  printf '#![no_std]\n' >"$dir/src/lib.rs"
  (
    cd "$dir"
    # The release profile links with LTO, which reads std's bitcode.
    env -u RUSTUP_TOOLCHAIN -u CARGO_ENCODED_RUSTFLAGS RUSTFLAGS=-Cembed-bitcode=yes \
      PATH="/usr/bin:/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$dir/target" \
      /usr/bin/cargo build --release -Z build-std=std,panic_abort,panic_unwind,test --target "$WASM_TARGET"
  ) || return 1
  rm -rf "$libdir"
  mkdir -p "$libdir"
  rm -f "$dir/target/$WASM_TARGET/release/deps/"libstd_for_wasm-*
  cp "$dir/target/$WASM_TARGET/release/deps/"*.rlib "$libdir/"
  distro_std_recipe >"$(distro_std_stamp "$libdir")"
}
