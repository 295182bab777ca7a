#!/usr/bin/env bash
# Builds the harness of the receiver and runs it: run.sh plain|asan|tsan [--seed N] [CASE...]
# In a network namespace of its own where that is allowed: it opens and resets tens of thousands of connections, and one
# case needs a tun device. Cases that are left out say so in a line with "NOT RUN".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

case ${1:-} in
  plain) flags=(-O2) ;;
  asan) flags=(-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer) ;;
  tsan) flags=(-O1 -fsanitize=thread) ;;
  *)
    echo 'usage: run.sh plain|asan|tsan [--seed N] [CASE...]' >&2
    exit 2
    ;;
esac
shift

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gcc -std=c11 -g -Wall -Wextra -Werror "${flags[@]}" -Wl,--wrap=recvmsg -o "$folder/receiver-test" ./*.c ../../src/endpoints/receiver/receiver.c -lpthread

alone=()
for way in -n -rn; do
  if unshare "$way" true 2>/dev/null; then
    alone=(unshare "$way")
    break
  fi
done
TSAN_OPTIONS=halt_on_error=1 "${alone[@]}" "$folder/receiver-test" ${alone:+--own-net} "$@"
