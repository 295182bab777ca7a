#!/bin/bash
# A private SLURM of several nodes on this one machine, made of Debian's packages, for tests.
#
#   cluster.sh up DIR           makes DIR and brings the cluster up; returns once every node is idle
#   cluster.sh down DIR         cancels its jobs, ends its processes and removes DIR; may be called again
#   cluster.sh hold DIR         up, prints "ready", waits for the end of its input, down: what holds the
#                               other end of that pipe cannot die without the cluster going too
#   cluster.sh kill DIR NODE    the node dies at once, with all that runs on it, as if its power were cut, and
#                               the controller is told (by itself it takes NODE_TIMEOUT and up to a minute)
#   cluster.sh enter DIR CMD..  runs CMD where the names of the nodes resolve (mode ns; else just runs it)
#
# A client needs SLURM_CONF=DIR/slurm.conf in its environment and nothing else.
# `up` and `hold` read from the environment:
#
#   NODES=3                  how many nodes: node1, node2 ...
#   NAMES="a b"              their names instead
#   CPUS=8                   CPUs that each of them claims to have
#   GPUS=0                   GPUs (gres) that each claims to have; the devices are /dev/null's (needs mknod)
#   PARTITION=batch          name of the one partition
#   OVERSUBSCRIBE=EXCLUSIVE  the partition's setting: jobs get whole nodes; or NO, YES:4, FORCE:4
#   KILLWAIT=2               seconds between TERM and KILL for the tasks of a cancelled job
#   NODE_TIMEOUT=10          seconds without an answer after which a node counts as failed
#   EXTRA=                   further lines for slurm.conf; a key given again wins
#   PYXIS=                   1: srun takes the --container options (pyxis-spank.c, compiled into DIR)
#   PYXIS_ARGS=              arguments of that plugin, described at its top; where the daemons may, mounts are made
#   MODE=                    ns: each node has its own host name, its own address (127.0.0.2 and on) and its
#                            own process ids, so that it can die as one (needs root); plain: all nodes are
#                            127.0.0.1 with the host's name. Left out: ns where that is allowed
#
# Everything lives in DIR, listens on the loopback only (in mode plain where the host's name resolves to it),
# and carries BENCH_TEST_CLUSTER=DIR in its environment.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
unset "${!SLURM_@}"
self=$(realpath "${BASH_SOURCE[0]}")

die() { echo "cluster.sh: $*" >&2; exit 1; }

# within SECONDS COMMAND...: tries the command until it succeeds.
within() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.02
  done
}

# Process ids whose environment has this entry. A zombie has none, so it counts as ended.
holders() { grep -lxzF -e "$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true; }

# stepds NODE: its step managers. They write their title over their environment, but keep the log open.
stepds() {
  local pid
  for pid in $(grep -lx slurmstepd /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3); do
    case "$(readlink "/proc/$pid/fd/"* 2>/dev/null) " in *"$dir/log/$1.log"[[:space:]]*) echo "$pid" ;; esac
  done
}

# What still runs of the cluster: daemons by their mark, step managers, tasks with all that they started (also
# what a node of mode plain no longer knows of) and clients, both by the configuration that they use.
running() {
  local pid name
  holders "BENCH_TEST_CLUSTER=$dir"
  for name in "$dir"/spool/*; do stepds "$(basename "$name")"; done
  for pid in $(holders "SLURM_CONF=$dir/slurm.conf"); do
    if grep -qz '^SLURMD_NODENAME=' "/proc/$pid/environ" 2>/dev/null; then
      echo "$pid"
    else
      case $(cat "/proc/$pid/comm" 2>/dev/null) in srun | salloc | sbatch | sattach) echo "$pid" ;; esac
    fi
  done
}
nothing_running() { [ -z "$(running)" ]; }

# start NAME COMMAND...: a daemon in a session of its own, so that no Ctrl-C and no group kill reaches it.
start() {
  local name=$1; shift
  env -i PATH="$PATH" LC_ALL=C BENCH_TEST_CLUSTER="$dir" BENCH_TEST_NODE="$name" \
    setsid "$@" </dev/null >"$dir/log/$name.out" 2>&1 &
  echo $! >"$dir/pids/$name"
}

in_namespaces() { unshare --mount --uts --pid --fork --kill-child --mount-proc true 2>/dev/null; }

# As many successive ports as asked for, free now, below those that the kernel hands out.
free_ports() {
  local used base port
  used=" $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '{ split($2, a, ":"); print a[2] }' | tr '\n' ' ')"
  for _ in $(seq 200); do
    base=$((12000 + RANDOM % 19000)) port=0
    while [ "$port" -lt "$1" ] && [[ $used != *" $(printf %04X $((base + port))) "* ]]; do port=$((port + 1)); done
    if [ "$port" -eq "$1" ]; then echo "$base"; return; fi
  done
  die "no $1 successive free ports"
}

# configuration [LINE...]: slurm.conf with these lines more.
configuration() {
  local i
  cat <<END
ClusterName=test
SlurmctldHost=$controller(127.0.0.1)
SlurmctldPort=$base
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
# pmix has its sockets there: nodes that shared the folder would take each other's
TmpFS=$dir/tmp/%n
SlurmctldPidFile=$dir/pids/.slurmctld
SlurmdPidFile=$dir/pids/.%n
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/%n.log
PlugStackConfig=$dir/plugstack.conf
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
PropagateResourceLimits=NONE
# CPUs and memory as written here, whatever the machine has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# a waiting job is looked at at once, not after seconds
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
ReturnToService=2
KillWait=${KILLWAIT:-2}
SlurmdTimeout=${NODE_TIMEOUT:-10}
SlurmctldTimeout=10
UnkillableStepTimeout=10
MessageTimeout=10
InactiveLimit=0
WaitTime=0
MinJobAge=30
END
  if [ "$gpus" -gt 0 ]; then echo GresTypes=gpu; fi
  for i in "${!names[@]}"; do
    printf 'NodeName=%s NodeHostname=%s NodeAddr=%s Port=%d CPUs=%d RealMemory=64000%s State=UNKNOWN\n' \
      "${names[i]}" "${hosts[i]}" "${addresses[i]}" $((base + 1 + i)) "${CPUS:-8}" "${gres:-}"
  done
  printf 'PartitionName=%s Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 State=UP OverSubscribe=%s\n' \
    "${PARTITION:-batch}" "${OVERSUBSCRIBE:-EXCLUSIVE}"
  printf '%s\n' "$@" "${EXTRA:-}"
}

plugin() {
  local bind=
  : >"$dir/plugstack.conf"
  if [ -z "${PYXIS:-}" ]; then return; fi
  gcc -std=gnu11 -O1 -Wall -Wextra -Werror -shared -fPIC -o "$dir/spank_pyxis.so" "$(dirname "$self")/pyxis-spank.c"
  mkdir "$dir/stage"
  if [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null; then bind="bind=$dir/stage"; fi
  echo "required $dir/spank_pyxis.so $bind ${PYXIS_ARGS:-}" >"$dir/plugstack.conf"
}

devices() {
  local i
  gpus=${GPUS:-0}
  if [ "$gpus" -eq 0 ]; then return; fi
  gres=" Gres=gpu:$gpus"
  mkdir "$dir/dev"
  for i in $(seq 0 $((gpus - 1))); do mknod "$dir/dev/nvidia$i" c 1 3; done
  printf 'NodeName=%s Name=gpu File=%s/dev/nvidia[0-%d]\n' "$(IFS=,; echo "${names[*]}")" "$dir" $((gpus - 1)) >"$dir/gres.conf"
}

up() {
  local tool i name mode=${MODE:-}
  for tool in munged slurmctld slurmd srun scontrol; do
    command -v $tool >/dev/null || die "$tool is missing (apt-get install munge slurmctld slurmd slurm-client)"
  done
  if [ -z "$mode" ]; then if in_namespaces; then mode=ns; else mode=plain; fi; fi
  # A socket's path has at most 107 characters, and SLURM makes DIR/spool/NODE/NODE_JOB.STEP.
  if [ ${#dir} -gt 50 ]; then die "$dir is too long for the paths of sockets"; fi
  if [ -n "$(ls -A "$dir" 2>/dev/null)" ]; then die "$dir is not empty"; fi
  read -ra names <<<"${NAMES:-$(seq -s ' ' -f 'node%g' "${NODES:-3}")}"
  umask 022
  mkdir -p "$dir"/{munge,state,log,pids,spool,tmp}
  chmod 755 "$dir"   # munged wants its socket within everybody's reach
  echo "$mode" >"$dir/mode"
  trap 'tail -n 5 "$dir"/log/* >&2 || true; down' EXIT
  trap 'exit 143' INT TERM HUP

  ( umask 077; head -c 128 /dev/urandom >"$dir/munge/key" )
  start munged munged --foreground --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
    --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"

  hosts=() addresses=() controller=$(hostname -s)
  if [ "$mode" = ns ]; then controller=controller; fi
  echo "127.0.0.1 localhost $(hostname) $controller" >"$dir/hosts"
  for i in "${!names[@]}"; do
    name=${names[i]}
    mkdir "$dir/spool/$name" "$dir/tmp/$name"
    if [ "$mode" = ns ]; then
      hosts+=("$name") addresses+=("127.0.0.$((i + 2))")
    else
      hosts+=(localhost) addresses+=(127.0.0.1)
    fi
    echo "${addresses[i]} $name" >>"$dir/hosts"
  done
  base=$(free_ports $((${#names[@]} + 1)))
  devices
  plugin

  # With this they listen on the address of their host's name rather than on all. A client on a node must not:
  # its connections come from 127.0.0.1, and there it would be called back.
  local loopback=CommunicationParameters=NoInAddrAny,NoCtldInAddrAny here=
  case $(getent ahostsv4 "$(hostname)" | awk 'NR == 1 { print $1 }') in 127.*) here=$loopback ;; esac
  # slurmd loads the plugin of the kernel's version although nothing here uses it, and that of version 2 wants systemd.
  echo CgroupPlugin=cgroup/v1 >"$dir/cgroup.conf"
  configuration "$here" >"$dir/slurm.conf"
  configuration "$loopback" >"$dir/daemon.conf"
  configuration >"$dir/client.conf"

  export SLURM_CONF=$dir/slurm.conf
  within 10 test -S "$dir/munge/socket" || die 'munged did not come up'
  start controller "$self" controller "$dir"
  # A slurmd that finds no controller sleeps for a whole second.
  within 20 answered_or_ended || die 'slurmctld did not answer'
  alive controller || die 'slurmctld ended'
  for name in "${names[@]}"; do
    if [ "$mode" = ns ]; then
      start "$name" unshare --mount --uts --pid --fork --kill-child --mount-proc "$self" node "$dir" "$name"
    else
      start "$name" "$self" node "$dir" "$name"
    fi
  done
  within 30 all_idle || { sinfo -N -l >&2 || true; die 'the nodes did not come up'; }
  trap - EXIT INT TERM HUP
}
alive() { kill -0 "$(cat "$dir/pids/$1")" 2>/dev/null; }
answered_or_ended() { timeout 5 scontrol ping || ! alive controller; }
all_idle() { [ "$(timeout 5 sinfo -h -N -o '%N %t' | sort -u | grep -c ' idle$')" -eq ${#names[@]} ]; }

# What a daemon's process does. slurmd tells its tasks the name of the file that it has read itself, so all three
# files go by the same name there, each at its time.
controller() {
  if [ "$(cat "$dir/mode")" = plain ]; then exec slurmctld -D -c -f "$dir/slurm.conf"; fi
  exec unshare --mount --uts bash -ec 'hostname controller; mount --bind "$1/hosts" /etc/hosts
    exec slurmctld -D -c -f "$1/daemon.conf"' controller "$dir"
}
node() {
  if [ "$(cat "$dir/mode")" = plain ]; then exec slurmd -D -N "$1" -f "$dir/slurm.conf"; fi
  hostname "$1"
  mount --bind "$dir/hosts" /etc/hosts
  mount --bind "$dir/daemon.conf" "$dir/slurm.conf"
  slurmd -D -N "$1" -f "$dir/slurm.conf" &
  within 30 listening "$(awk -v name="NodeName=$1" '$1 == name { sub("Port=", "", $4); print $4 }' "$dir/slurm.conf")"
  mount --bind "$dir/client.conf" "$dir/slurm.conf"
  # As the first process of the namespace this one reaps orphans, and the node ends with it.
  wait
}
listening() { awk '$4 == "0A" { print $2 }' /proc/net/tcp /proc/net/tcp6 | grep -q ":$(printf %04X "$1")$"; }

# end PID: a daemon, or all of a node. The first process of a namespace takes the others along, and `unshare`
# ends when the last is gone.
end() {
  local pid=$1 first=
  if ! grep -qxzF "BENCH_TEST_CLUSTER=$dir" "/proc/$pid/environ" 2>/dev/null; then return; fi
  if [ "$(cat "/proc/$pid/comm")" = unshare ]; then first=$(cat "/proc/$pid/task/$pid/children"); fi
  kill -KILL ${first:-$pid}
}

on_node() { { holders "BENCH_TEST_NODE=$1"; holders "SLURMD_NODENAME=$1"; stepds "$1"; } | grep -xF "$(running)"; }
none_on_node() { [ -z "$(on_node "$1")" ]; }
kill_node() {
  if [ ! -e "$dir/pids/$1" ]; then die "no node $1 in $dir"; fi
  end "$(cat "$dir/pids/$1")" 2>/dev/null || true
  if [ "$(cat "$dir/mode")" = plain ]; then on_node "$1" | xargs -r kill -KILL 2>/dev/null || true; fi
  within 10 none_on_node "$1" || die "$1 still runs: $(on_node "$1" | tr '\n' ' ')"
  SLURM_CONF=$dir/slurm.conf timeout 10 scontrol update NodeName="$1" State=DOWN Reason='power cut'
}

jobs_left() { timeout 5 squeue -h -o %A 2>/dev/null | sort -u; }
no_jobs() { [ -z "$(jobs_left)" ]; }

down() {
  local pid left
  trap - EXIT
  if [ ! -e "$dir/mode" ]; then return; fi
  export SLURM_CONF=$dir/slurm.conf
  # Steps first, so that their srun hears of it: a step that is cancelled is killed at once, a job has KillWait.
  left=$(jobs_left || true)
  if [ -n "$left" ]; then
    { timeout 5 squeue -h -s -o %i | grep -E '\.[0-9]+$' | xargs -r timeout 5 scancel
      timeout 5 scancel --batch --signal=KILL $left
      timeout 5 scancel $left
      within 4 no_jobs; } 2>/dev/null || true
  fi
  for pid in $(cat "$dir"/pids/* 2>/dev/null); do end "$pid" 2>/dev/null || true; done
  if ! within 1 nothing_running; then
    kill -KILL $(running) 2>/dev/null || true
    within 10 nothing_running || die "still running: $(running | tr '\n' ' ')"
  fi
  rm -rf "$dir"
}

[ $# -ge 2 ] || die 'usage: cluster.sh up|down|hold|kill|enter DIR ...'
verb=$1 dir=$(realpath -m "$2")
shift 2
case $verb in
  up) up ;;
  down) down ;;
  hold)
    # The other end may go while the cluster is still coming up.
    trap : PIPE
    up
    trap down EXIT
    trap exit INT TERM HUP
    echo ready || true
    while read -r _; do :; done
    ;;
  kill) kill_node "$1" ;;
  enter)
    if [ "$(cat "$dir/mode")" = plain ]; then exec "$@"; fi
    exec unshare --mount bash -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' enter "$dir/hosts" "$@"
    ;;
  controller) controller ;;
  node) node "$1" ;;
  *) die "no verb $verb" ;;
esac
