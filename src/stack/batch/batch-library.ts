import { SCRUBBED_NAMES, SCRUBBED_PREFIXES } from '../../core/slurm-env.ts';

/** Functions of the batch script: bash 4.4, curl, sed, grep and SLURM's own commands are all that it needs. */
export const BATCH_LIBRARY = String.raw`
declare -A PID READY
STARTED=()
ANSWER=$(mktemp)
COMMAND_PID=

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*"; }

fail() {
  say "FAILED: $*"
  exit 4
}

# The log of a step without rank labels and colours.
plain_log() { sed -E 's/\x1b\[[0-9;]*m//g; s/^ *[0-9]+: //' "$RUN_DIR/logs/$1.log" 2>/dev/null; }

running() { kill -0 "\${PID[$1]}" 2>/dev/null; }

# A step that has ended, or says that it is broken, ends the job; what it said is shown.
check_steps() {
  local step
  for step in "\${STARTED[@]}"; do
    if ! running "$step"; then
      wait "\${PID[$step]}"
      local code=$?
      if ! critical "$step" || { [ "$code" = 0 ] && may_end "$step"; }; then continue; fi
      grep -aE 'error|Exited' "$RUN_DIR/logs/$step.srun.log" 2>/dev/null | head -n 5
      plain_log "$step" | tail -n 20
      fail "$step ended with exit code $code; see $RUN_DIR/logs/$step.log"
    fi
    if critical "$step"; then broken "$step"; fi
  done
}

fail_on() {
  local line
  line=$(plain_log "$1" | grep -aPm1 -- "$2") || return 0
  fail "$1 ($3): $line"
}

probe_log() {
  local least=$1 pattern=$2 step count=0
  shift 2
  for step in "$@"; do count=$((count + $(plain_log "$step" | grep -acP -- "$pattern"))); done
  [ "$count" -ge "$least" ]
}

probe_tcp() { timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }

probe_http() {
  local status
  status=$(curl -s -o "$ANSWER" -w '%{http_code}' --noproxy '*' --max-time 5 "$1") || return 1
  [ "$status" = "$2" ] || return 1
  [ -z "\${3-}" ] || grep -aqE -- "$3" "$ANSWER"
}

probe_instances() {
  local count
  curl -s -o "$ANSWER" --noproxy '*' --max-time 5 "$1" || return 1
  count=$(tr '{' '\n' <"$ANSWER" | grep -aE "\"component\" *: *\"($2)\"" | grep -acE "\"endpoint\" *: *\"$3\"")
  [ "$count" -ge "$4" ]
}

probe_model() {
  probe_http "$1" 200 && grep -aqF -- "\"id\":\"$2\"" <(tr -d ' \n' <"$ANSWER")
}

probe_canary() {
  local requests=$2 least=$3 body=$4 i tokens
  for ((i = 0; i < requests; i++)); do
    # Not in the foreground: a signal to this script would have to wait for it.
    curl -sN -o "$ANSWER" --noproxy '*' --max-time 120 -H 'content-type: application/json' -d "$body" \
      "$1/v1/chat/completions" &
    wait $! || return 1
    if grep -aq '"error"' "$ANSWER"; then return 1; fi
    tokens=$(grep -acE '"(reasoning_)?content" *: *"[^"]' "$ANSWER")
    if [ "$tokens" -lt "$least" ]; then
      tokens=$(grep -aoE '"completion_tokens" *: *[0-9]+' "$ANSWER" | tail -n 1 | grep -oE '[0-9]+$')
      [ "\${tokens:-0}" -ge "$least" ] || return 1
    fi
  done
}

probe_exec() {
  local expected=$1 code=0
  shift
  timeout -k 1 5 "$@" >/dev/null 2>&1 || code=$?
  [ "$code" = "$expected" ]
}

log_bytes() { cat "$RUN_DIR/logs/$1.log" "$RUN_DIR/logs/$1.srun.log" 2>/dev/null | wc -c; }

# await NAME SECONDS INTERVAL: until the probes of NAME hold. A step whose log grew in the last tenth of its time,
# or in the last minute of it, is given as long again, once. One that may fail only costs a warning.
await() {
  [ -z "\${READY[$1]-}" ] || return 0
  local from=$SECONDS limit=$2 recent=$(($2 / 10 > 60 ? $2 / 10 : 60)) bytes=-1 now grewAt=$SECONDS extended=
  say "$1: waiting"
  until "probes_$1"; do
    check_steps
    now=$(log_bytes "$1")
    if [ "$now" != "$bytes" ]; then bytes=$now grewAt=$SECONDS; fi
    if [ $((SECONDS - from)) -ge "$limit" ]; then
      if [ "$1" != stack ] && ! critical "$1"; then
        say "WARNING: $1 is not ready after $limit s"
        READY[$1]=no
        return
      fi
      [ -z "$extended" ] && [ "$bytes" -gt 0 ] && [ $((SECONDS - grewAt)) -lt "$recent" ] \
        || fail "$1 is not ready after $limit s"
      extended=yes limit=$((limit * 2))
      say "$1: not ready after $2 s, but its log still grows: given as long again"
    fi
    sleep "$3"
  done
  READY[$1]=yes
  say "$1: ready after $((SECONDS - from)) s"
}

started() {
  PID[$1]=$2
  STARTED+=("$1")
  say "$1: started"
}

# Ids of the running steps of a name in SLURM.
step_ids() {
  squeue -s -h -j "$SLURM_JOB_ID" -o '%i|%j' 2>/dev/null | awk -F'|' -v name="$RUN.$1" '$2 == name { print $1 }'
}

# ask STEP SIGNAL: asks the tasks of a step to end. SIGTERM to srun would kill at once.
ask() {
  local id
  if [ -z "\${PID[$1]-}" ] || ! running "$1"; then return 0; fi
  for id in $(step_ids "$1"); do scancel --ctld --signal="$2" "$id" 2>/dev/null; done
}

# finish STEP SECONDS ASKED: ends them so many seconds after the instant at which they were asked.
finish() {
  local id i
  if [ -z "\${PID[$1]-}" ]; then return 0; fi
  while running "$1" && [ $((SECONDS - $3)) -lt "$2" ]; do sleep 0.2; done
  if ! running "$1"; then return 0; fi
  say "$1: did not end within $2 s; killed"
  for id in $(step_ids "$1"); do scancel "$id" 2>/dev/null; done
  for ((i = 0; i < 50; i++)); do
    if ! running "$1"; then return 0; fi
    sleep 0.2
  done
  kill -KILL "\${PID[$1]}" 2>/dev/null
}

# Asks the command to end and gives it time to write what it has; the stack serves it until then.
end_command() {
  local from=$SECONDS
  kill "$1" 2>/dev/null
  while kill -0 "$1" 2>/dev/null && [ $((SECONDS - from)) -lt "$COMMAND_GRACE_S" ]; do sleep 0.2; done
  kill -KILL "$1" 2>/dev/null
}

down() {
  local code=$?
  trap '' INT TERM
  trap - EXIT
  say "teardown"
  if [ -n "$COMMAND_PID" ]; then end_command "$COMMAND_PID"; fi
  stop_all
  clean_up
  rm -f "$ANSWER"
  say "done"
  exit "$code"
}

# Runs the command of the job, or holds the stack until the job ends; a step that ends is a failure either way.
serve() {
  if [ $# -gt 0 ]; then
    "$@" &
    COMMAND_PID=$!
  fi
  while :; do
    check_steps
    if [ -n "$COMMAND_PID" ] && ! kill -0 "$COMMAND_PID" 2>/dev/null; then
      wait "$COMMAND_PID"
      local code=$?
      COMMAND_PID=
      say "the command ended with exit code $code"
      exit "$code"
    fi
    sleep 1
  done
}
`.replaceAll('\\${', '${');

/** Takes out what describes the batch step itself and would steer every srun below. */
export const SCRUB = `
for name in $(compgen -e SLURM_); do
  case $name in
    PATTERNS)
      unset -v "$name"
      ;;
  esac
done
`.replace(
  'PATTERNS',
  [...SCRUBBED_NAMES, ...SCRUBBED_PREFIXES.map((prefix) => `${prefix}*`)].join(' | \\\n    '),
);

/**
 * Functions that choose an address among lines of `interface address`, as a launch by bench does: that of the
 * interface asked for; else the first in a preferred network, in a private one, or of any other kind.
 */
export const ADDRESS_LIBRARY = String.raw`
ip_number() {
  local IFS=.
  set -- $1
  echo $((($1 << 24) + ($2 << 16) + ($3 << 8) + $4))
}

in_network() {
  local mask=$(((0xffffffff << (32 - \${2#*/})) & 0xffffffff))
  [ $(($(ip_number "$1") & mask)) = $(($(ip_number "\${2%/*}") & mask)) ]
}

# choose_address INTERFACE NETWORK...: an empty interface stands for any.
choose_address() {
  local device=$1 name address network all=()
  shift
  while read -r name address; do
    case $device:$name:$address in
      "$device:$device:"*.*.*.*) all+=("$address") ;;
      :*:127.* | :*:169.254.* | :*:0.* | :docker*:* | :br-*:* | :veth*:* | :virbr*:* | :cni*:* | :flannel*:*) ;;
      :*:*.*.*.*) all+=("$address") ;;
    esac
  done
  if [ \${#all[@]} -eq 0 ]; then return 1; fi
  for network in "$@" 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16; do
    for address in "\${all[@]}"; do
      if in_network "$address" "$network"; then
        echo "$address"
        return
      fi
    done
  done
  echo "\${all[0]}"
}
`.replaceAll('\\${', '${');
