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
      if ! critical "$step"; then continue; fi
      grep -aE 'error|Exited' "$RUN_DIR/logs/$step.srun.log" 2>/dev/null | head -n 5
      plain_log "$step" | tail -n 20
      fail "$step ended with exit code $code; see $RUN_DIR/logs/$step.log"
    fi
    broken "$step"
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
    curl -sN -o "$ANSWER" --noproxy '*' --max-time 120 -H 'content-type: application/json' -d "$body" \
      "$1/v1/chat/completions" || return 1
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
  "$@" >/dev/null 2>&1 || code=$?
  [ "$code" = "$expected" ]
}

# await NAME SECONDS INTERVAL: until the probes of NAME hold.
await() {
  [ -z "\${READY[$1]-}" ] || return 0
  local from=$SECONDS
  say "$1: waiting"
  until "probes_$1"; do
    check_steps
    [ $((SECONDS - from)) -lt "$2" ] || fail "$1 is not ready after $2 s"
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

# stop STEP SIGNAL SECONDS: asks the tasks to end, and after a grace ends them. SIGTERM to srun would kill at once.
stop() {
  local id i
  if ! running "$1"; then return 0; fi
  for id in $(step_ids "$1"); do scancel --ctld --signal="$2" "$id" 2>/dev/null; done
  for ((i = 0; i < $3 * 5; i++)); do
    if ! running "$1"; then return 0; fi
    sleep 0.2
  done
  say "$1: did not end within $3 s; killed"
  for id in $(step_ids "$1"); do scancel "$id" 2>/dev/null; done
  for ((i = 0; i < 50; i++)); do
    if ! running "$1"; then return 0; fi
    sleep 0.2
  done
  kill -KILL "\${PID[$1]}" 2>/dev/null
}

down() {
  local code=$?
  trap '' INT TERM
  trap - EXIT
  say "teardown"
  if [ -n "$COMMAND_PID" ]; then kill "$COMMAND_PID" 2>/dev/null; fi
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
export const SCRUB = String.raw`
for name in $(compgen -e SLURM_); do
  case $name in
    SLURM_NTASKS | SLURM_NPROCS | SLURM_TASKS_PER_NODE | SLURM_CPUS_PER_TASK | SLURM_PROCID | SLURM_LOCALID | \
    SLURM_NODEID | SLURM_DISTRIBUTION | SLURM_LAUNCH_NODE_IPADDR | SLURM_TASK_PID | SLURM_GTIDS | \
    SLURM_THREADS_PER_CORE | SLURM_CORE_SPEC | SLURM_EXPORT_ENV | SLURM_KILL_BAD_EXIT | SLURM_UMASK | \
    SLURM_PTY_PORT | SLURM_PTY_WIN_COL | SLURM_PTY_WIN_ROW | SLURM_STEP_* | SLURM_STEPID* | \
    SLURM_NTASKS_PER_* | SLURM_MEM_PER_* | SLURM_SRUN_COMM_* | SLURM_CPU_BIND* | SLURM_CPU_FREQ_* | \
    SLURM_MEM_BIND* | SLURM_GPU_BIND* | SLURM_TRES_PER_TASK*)
      unset -v "$name"
      ;;
  esac
done
`;

/** Prints an address of the node it runs on that other nodes reach. */
export const ADDRESS_OF_NODE =
  "ip -4 route get 192.0.2.1 2>/dev/null | sed -nE 's/.* src ([0-9.]+).*/\\1/p' | grep -vE '^(127|169\\.254)\\.' | head -n 1";
