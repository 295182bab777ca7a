#!/usr/bin/env bash
# Installs the clients that `npm run bench:client` puts beside this one: sglang's Python client (0.5.5) and its Rust
# client (0.5.23), into test/bench/.rivals and test/real/.sglang. What is complete is kept. About 150 MB.
#
# BENCH_SGLANG_PYTHON, else BENCH_DYNAMO_PYTHON: a Python that has what the Python client imports, instead of the
# virtual environment made here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly rust='sglang==0.5.23'
# What the Python client imports beside the packages that fetch-sglang.sh brings.
readonly imports=(aiohttp numpy requests tqdm regex safetensors packaging filelock pyyaml fsspec typing-extensions)
readonly to=test/bench/.rivals

python="${BENCH_SGLANG_PYTHON:-${BENCH_DYNAMO_PYTHON:-}}"
if [ -z "$python" ] && [ -x test/real/.venv/bin/python ]; then python=test/real/.venv/bin/python; fi
if [ -z "$python" ]; then
  python="$to/venv/bin/python"
  if [ ! -x "$python" ]; then
    python3 -m venv "$to/venv"
    "$python" -m pip --quiet --no-input --disable-pip-version-check install "${imports[@]}"
  fi
fi
export BENCH_SGLANG_PYTHON="$python"
test/real/fetch-sglang.sh

# The wheel has the Rust client as an extension that needs nothing else of sglang, so no other package is installed.
wanted="$rust $("$python" --version)"
if [ -f "$to/.complete" ] && [ "$(cat "$to/.complete")" = "$wanted" ]; then
  echo "kept $to"
  exit
fi
rm -rf "$to/wheel" "$to/rust"
mkdir -p "$to/rust"
"$python" -m pip --quiet --no-input --disable-pip-version-check download --no-deps --dest "$to/wheel" "$rust"
"$python" -m zipfile --extract "$to"/wheel/*.whl "$to/wheel"
mv "$to"/wheel/sglang/srt/rust_extensions/_bench.*.so "$to/rust/"
rm -r "$to/wheel"
"$python" -c 'import sys; sys.path.insert(0, sys.argv[1]); import _bench; _bench.run_argv' "$to/rust"
echo "$wanted" >"$to/.complete"
