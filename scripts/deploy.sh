#!/usr/bin/env bash
# Deploys the relay to Cloudflare, and looks after it there.
#
# Usage: scripts/deploy.sh COMMAND [--env FILE]
#
#   check              do everything that `deploy` does, except for the upload;
#                      needs no credentials
#   deploy             check, upload, then test the deployed relay
#   smoke [URL]        test a relay: the given one, else DEPLOY_URL, else the one
#                      that was deployed last from here
#   tail [ARG…]        show the relay's log, live, without the secrets of links
#   rollback [ARG…]    go back to the previous version, or to the given one
#   status             show what is deployed, and whether it answers
#   dev [ARG…]         run scripts/dev.sh
#
#   --env FILE         read the credentials from FILE instead of .env
#   --help             show this text
#
# The credentials come from the environment or from .env, which .env.example
# describes. They are never printed, and only wrangler gets them: the programs that
# install tools and build the Worker do not. The checks cover the bindings and vars
# of wrangler.toml, apps.json (by the build), the size of the upload, and a dry run
# of wrangler. If one fails, the message names the file, the entry and the reason,
# and nothing is uploaded.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# Seconds that a new version may take until every place of Cloudflare serves it.
PROPAGATION=60

command=''
env_file=$ROOT/.env
args=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --env)
      if [ $# -lt 2 ] || [ -z "$2" ]; then usage_error "deploy.sh: --env needs a file"; fi
      env_file=$2
      [ -f "$env_file" ] || die "there is no file $env_file"
      case $env_file in /*) ;; *) env_file=$PWD/$env_file ;; esac
      shift
      ;;
    check | deploy | smoke | status | tail | rollback | dev)
      if [ -n "$command" ]; then args+=("$1"); else command=$1; fi
      # The rest is the other program's.
      case $command in
        tail | rollback | dev)
          shift
          args+=("$@")
          break
          ;;
      esac
      ;;
    *)
      if [ -z "$command" ]; then usage_error "deploy.sh: unknown command '$1'"; fi
      args+=("$1")
      ;;
  esac
  shift
done
[ -n "$command" ] || usage_error "deploy.sh: a command is needed: check, deploy, smoke, tail, rollback, status or dev"

cd "$ROOT"
# Where the last deploy from here went, an address a line.
deployed=$TOOLS_DIR/deployed

at_most() {
  [ "${#args[@]}" -le "$1" ] || usage_error "deploy.sh $command takes no argument '${args[$1]}'"
}

# ---- credentials ------------------------------------------------------------

# Runs wrangler with the credentials: no other program gets them (lib.sh sees to
# that), and wrangler gets those of no other kind.
wrangler_as() {
  CLOUDFLARE_API_TOKEN=$CLOUDFLARE_API_TOKEN CLOUDFLARE_ACCOUNT_ID=$CLOUDFLARE_ACCOUNT_ID wrangler "$@"
}

# Reads NAME=value lines as text: nothing in the file is run. What the
# environment has wins. Messages name lines and names, never values.
load_env() {
  [ -f "$env_file" ] || return 0
  if [ -n "$(find "$env_file" -perm /077 2>/dev/null)" ]; then
    warn "other users of this machine can read ${env_file##*/}; better: chmod 600 ${env_file##*/}"
  fi
  local line name value number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${line%$'\r'}
    if [[ $line =~ ^[[:space:]]*(#.*)?$ ]]; then continue; fi
    if ! [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]]; then
      die "${env_file##*/}, line $number: expected NAME=value"
    fi
    name=${BASH_REMATCH[2]}
    value=${BASH_REMATCH[3]}
    # One pair of quotes around it, or a comment behind it, is not part of it.
    if [[ $value =~ ^\"([^\"]*)\"[[:space:]]*(#.*)?$ ]] || [[ $value =~ ^\'([^\']*)\'[[:space:]]*(#.*)?$ ]]; then
      value=${BASH_REMATCH[1]}
    else
      value=${value%%[[:space:]]#*}
      value=${value%"${value##*[![:space:]]}"}
      case $value in
        *[[:space:]\"\'\`\$]*) die "${env_file##*/}, line $number: the value of $name holds a space, a quote or a \$; put it in quotes" ;;
      esac
    fi
    case $name in
      CLOUDFLARE_API_TOKEN | CLOUDFLARE_ACCOUNT_ID | DEPLOY_URL)
        if [ -z "${!name:-}" ]; then printf -v "$name" %s "$value"; fi
        ;;
      *) warn "${env_file##*/}, line $number: $name is none of CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID, DEPLOY_URL; left out" ;;
    esac
  done <"$env_file"
}

need_credentials() {
  local name missing=''
  for name in CLOUDFLARE_API_TOKEN CLOUDFLARE_ACCOUNT_ID; do
    if [ -z "${!name:-}" ]; then missing+="${missing:+ and no }$name"; fi
  done
  if [ -n "$missing" ]; then
    die "no $missing: set it in .env (copy .env.example, which says where to get it) or in the environment. \`deploy.sh check\` needs none."
  fi
  if ! [[ $CLOUDFLARE_ACCOUNT_ID =~ ^[0-9a-f]{32}$ ]]; then die "CLOUDFLARE_ACCOUNT_ID is not an account id: 32 digits of 0-9 and a-f"; fi
}

need_tools() {
  if ! ./scripts/setup.sh --check 2>/dev/null; then
    step "installing what is missing (once; some minutes)"
    ./scripts/setup.sh || die "scripts/setup.sh failed; the reason is above"
  fi
  quiet_wrangler
}

# ---- commands ---------------------------------------------------------------

# Everything that is uploaded, as wrangler takes it: wrangler.toml without
# [build], as wrangler would run that with the credentials in its environment.
upload_config=$ROOT/build/wrangler.json
upload_args=(deploy --strict --config "$upload_config")

check() {
  local scratch
  step "wrangler.toml"
  node scripts/check-config.mjs || die "nothing was uploaded: correct wrangler.toml first"
  ok "bindings and vars are as the relay needs them"
  step "the build, which checks apps.json"
  ./scripts/build.sh || die "nothing was uploaded: the build failed"
  show_upload_size >&2 || die "nothing was uploaded: the upload is over $MAX_UPLOAD_GZIP_BYTES bytes gzipped"
  step "wrangler deploy --dry-run"
  node scripts/upload-config.mjs "$upload_config"
  scratch=$(mktemp -d)
  if ! wrangler "${upload_args[@]}" --dry-run --outdir "$scratch" >&2; then
    rm -rf "$scratch"
    die "nothing was uploaded: wrangler refuses this configuration"
  fi
  rm -rf "$scratch"
}

deploy() {
  local output commit
  check
  commit=$(git rev-parse --short HEAD 2>/dev/null || echo none)
  if [ -n "$(git status --porcelain 2>/dev/null)" ]; then
    warn "there are changes here that are not committed; they are deployed too"
    commit+=" and changes"
  fi
  step "wrangler deploy"
  output=$(mktemp)
  if ! WRANGLER_OUTPUT_FILE_PATH=$output wrangler_as "${upload_args[@]}" --message "commit $commit" >&2; then
    rm -f "$output"
    die "wrangler could not deploy; the reason is above"
  fi
  deployed_urls "$output" >"$deployed"
  rm -f "$output"
  make_secret
  smoke_all "$PROPAGATION"
}

# Makes the relay's secret, unless the Worker has one: a new one would end every
# link. It goes to wrangler by a pipe, so that no list of processes and no log has
# it, and it is kept nowhere here.
make_secret() {
  local names
  step "the relay's secret"
  names=$(wrangler_as secret list --config "$upload_config") || die "wrangler could not list the Worker's secrets; the reason is above"
  case $names in
    *'"RELAY_SECRET"'*)
      ok "it is there"
      return
      ;;
  esac
  node --eval 'process.stdout.write(require("node:crypto").randomBytes(32).toString("base64url"))' |
    wrangler_as secret put RELAY_SECRET --config "$upload_config" >&2 ||
    die "wrangler could not set RELAY_SECRET; the relay works without it, and \`deploy.sh deploy\` tries again"
  ok "it was made: session ids that somebody made up wake no object"
}

# The addresses in what wrangler noted (JSON lines; the one of type `deploy` has
# them as `targets`), and DEPLOY_URL.
deployed_urls() {
  node --input-type=module - "$1" "${DEPLOY_URL:-}" <<'JS'
import { readFileSync } from "node:fs"
const [file, given] = process.argv.slice(2)
const targets = readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line))
  .filter((entry) => entry.type === "deploy").flatMap((entry) => entry.targets ?? [])
const urls = [given, ...targets]
  .map((target) => /^(https:\/\/)?([\w.-]+\.[a-z]{2,})(\/\*?)?( |$)/.exec(target)?.[2])
  .filter(Boolean).map((host) => `https://${host}`)
console.log([...new Set(urls)].join("\n"))
JS
}

# smoke_all WAIT: tries each address that is known.
smoke_all() {
  local url urls=() failed=0
  if [ -s "$deployed" ]; then mapfile -t urls < <(grep . "$deployed"); fi
  if [ "${#urls[@]}" -eq 0 ] && [ -n "${DEPLOY_URL:-}" ]; then urls=("$DEPLOY_URL"); fi
  if [ "${#urls[@]}" -eq 0 ]; then
    die "which relay? Give its URL or set DEPLOY_URL in .env: nothing was deployed from here, so no address is known"
  fi
  for url in "${urls[@]}"; do
    node scripts/smoke.mjs --wait "$1" -- "$url" || failed=1
  done
  [ "$failed" = 0 ] || die "the deployed relay does not answer as it should; \`deploy.sh rollback\` goes back to the previous version"
}

smoke() {
  at_most 1
  if [ "${#args[@]}" -eq 1 ]; then
    exec node scripts/smoke.mjs -- "${args[0]}"
  elif [ -n "${DEPLOY_URL:-}" ]; then
    exec node scripts/smoke.mjs -- "$DEPLOY_URL"
  else
    smoke_all 0
  fi
}

status() {
  at_most 0
  wrangler_as deployments status
  if [ -n "${DEPLOY_URL:-}" ] || [ -s "$deployed" ]; then smoke_all 0; fi
}

case $command in
  check)
    at_most 0
    need_tools
    check
    ok "all is well: \`deploy.sh deploy\` would upload this"
    ;;
  deploy)
    at_most 0
    load_env
    need_credentials
    need_tools
    deploy
    ;;
  smoke)
    load_env
    need_tools
    smoke
    ;;
  status)
    load_env
    need_credentials
    need_tools
    status
    ;;
  tail)
    load_env
    need_credentials
    need_tools
    # wrangler keeps a log file of what it prints, with the tokens.
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    WRANGLER_LOG_PATH=$scratch/wrangler.log wrangler_as tail --format pretty ${args[@]+"${args[@]}"} | hide_tokens
    ;;
  rollback)
    load_env
    need_credentials
    need_tools
    wrangler_as rollback ${args[@]+"${args[@]}"}
    smoke_all "$PROPAGATION"
    ;;
  dev) exec ./scripts/dev.sh ${args[@]+"${args[@]}"} ;;
esac
