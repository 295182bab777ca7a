/** What a path on a node must allow. */
export type PathNeed = 'read' | 'write' | 'execute';

/** What the script looks for on a node. */
export interface PreflightAsks {
  readonly paths: readonly { readonly path: string; readonly need: PathNeed }[];
  /** Folders whose free disk is told; one that is not there yet stands for its nearest parent. */
  readonly disks: readonly string[];
  /** Ports whose holders are told, where the user may see them. */
  readonly ports: readonly number[];
  /** Shell patterns of files that an earlier run may have left. */
  readonly leftovers: readonly string[];
}

/**
 * A shell script that prints one `key<TAB>value` line per fact of the node it runs on (further tabs part a
 * value), the last one `done`. It needs `sh` and coreutils, changes nothing, and never ends in an error: what
 * is not there is not told. It is meant for `bash -c SCRIPT` in a step of one task.
 */
export function preflightScript(asks: PreflightAsks): string {
  const lines = [
    PROLOGUE,
    ...asks.paths.map(({ path, need }) => `path ${quoted(path)} ${need}`),
    ...asks.disks.map((folder) => `disk ${quoted(folder)}`),
    ...asks.leftovers.map((glob) => `left ${globbed(glob)}`),
    `listening ${asks.ports.join(' ')}`.trimEnd(),
    EPILOGUE,
  ];
  return lines.join('\n');
}

/** One word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A pattern as a word: its wildcards work, everything else is as it is. */
function globbed(glob: string): string {
  return glob
    .split(/([*?]|\[[^\]/]*\])/)
    .map((part, index) => (index % 2 === 1 ? part : part === '' ? '' : quoted(part)))
    .join('');
}

const PROLOGUE = `PATH=$PATH:/usr/sbin:/sbin
say() { k=$1; shift; printf '%s' "$k"; for v in "$@"; do printf '\\t%s' "$v"; done; printf '\\n'; }
brief() { if command -v timeout >/dev/null 2>&1; then timeout 20 "$@" </dev/null 2>/dev/null; else "$@" </dev/null 2>/dev/null; fi; }
path() {
  if [ ! -e "$1" ]; then say path "$1" "$2" missing
  elif [ "$2" = write ] && [ ! -w "$1" ]; then say path "$1" "$2" refused
  elif [ "$2" = execute ] && [ ! -x "$1" ]; then say path "$1" "$2" refused
  elif [ "$2" = read ] && [ ! -r "$1" ]; then say path "$1" "$2" refused
  elif [ -d "$1" ] && [ ! -x "$1" ]; then say path "$1" "$2" refused
  else say path "$1" "$2" ok; fi
}
disk() {
  d=$1
  while [ -n "$d" ] && [ ! -d "$d" ]; do case $d in */*) d=\${d%/*} ;; *) d=. ;; esac; done
  brief df -Pk "\${d:-/}" | { read -r _; read -r _ _ _ free _ && say disk "$1" "$free"; }
}
left() { for f in "$@"; do [ -e "$f" ] && say leftover "$f"; done; }
# The process that holds a socket, if the user may see it.
holder() {
  fd=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:?$1?" 2>/dev/null | head -n 1)
  [ -n "$fd" ] || return
  p=\${fd#/proc/}; p=\${p%%/*}
  printf '%s %s' "$p" "$(tr '\\0\\t\\n' '   ' <"/proc/$p/cmdline" 2>/dev/null | cut -c 1-120)"
}
listening() {
  ports=" $(printf '%04X ' "$@")"
  for f in /proc/net/tcp /proc/net/tcp6; do
    [ -r $f ] || continue
    # Only those that listen: a shell reads such a file byte by byte, and a busy node has many thousands of lines.
    grep -i ' [0-9a-f:]* 0A ' $f | while read -r _ local _ state _ _ _ _ _ inode _; do
      port=\${local##*:}
      case $state$ports in 0A*" $port "*) say listen "$((0x$port))" "\${local%:*}" "$(holder "$inode")" ;; esac
    done
  done
}
say node "\${SLURMD_NODENAME:-$(uname -n)}"
say host "$(uname -n)"
say machine "$(uname -m)"
say clock "$(date +%s.%N)"
for a in $(hostname -I 2>/dev/null || hostname -i 2>/dev/null); do say address "$a"; done
if [ -r /proc/meminfo ]; then
  while read -r k v _; do case $k in MemTotal:) say memory_total_kb "$v" ;; MemAvailable:) say memory_free_kb "$v" ;; esac; done </proc/meminfo
fi
say memlock_kb "$(ulimit -l 2>/dev/null)"`;

const EPILOGUE = `if command -v nvidia-smi >/dev/null 2>&1; then
  brief nvidia-smi --query-gpu=index,name,memory.used,memory.total,driver_version --format=csv,noheader,nounits |
    while IFS= read -r g; do say gpu "$g"; done
  # By itself: a driver that does not know one of these names tells none of a query.
  brief nvidia-smi --query-gpu=clocks.max.sm,clocks.applications.graphics,power.limit --format=csv,noheader,nounits |
    while IFS= read -r g; do say gpu_clocks "$g"; done
fi
if command -v srun >/dev/null 2>&1; then
  help=$(brief srun --help)
  case $help in *--container-image*) say pyxis yes ;; *--nodelist*) say pyxis no ;; esac
  say srun "$(brief srun --version)"
  for m in $(srun --mpi=list </dev/null 2>&1 | tr ',:' '  '); do
    case $m in none | pmi[0-9x]* | openmpi | cray*) say mpi "$m" ;; esac
  done
fi
command -v enroot >/dev/null 2>&1 && say tool enroot "$(brief enroot version)"
for t in apptainer singularity docker podman; do
  command -v $t >/dev/null 2>&1 && say tool $t "$(brief $t --version | head -n 1)"
done
say done yes
exit 0`;
