#!/usr/bin/env bash
# Fetches the original, sglang 0.5.5's bench_serving.py, into test/real/.sglang with the few packages that it needs
# beside Dynamo's: those that sglang 0.5.5 pins decide which tokens a prompt has. What is complete is kept.
#
# BENCH_SGLANG_PYTHON, else BENCH_DYNAMO_PYTHON: the Python to run it with, instead of test/real/.venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly original='sglang==0.5.5'
readonly packages=(transformers==4.57.1 tokenizers==0.22.2 huggingface-hub==0.36.2 pybase64==1.5.1 pillow==13.0.0)
readonly python="${BENCH_SGLANG_PYTHON:-${BENCH_DYNAMO_PYTHON:-test/real/.venv/bin/python}}"
readonly to=test/real/.sglang

wanted="$original ${packages[*]} $("$python" --version) $(sha256sum <test/real/fetch-sglang.sh)"
if [ -f "$to/.complete" ] && [ "$(cat "$to/.complete")" = "$wanted" ]; then
  echo "kept $to"
  exit
fi
rm -rf "$to"
mkdir "$to"
pip=("$python" -m pip --quiet --no-input --disable-pip-version-check)
"${pip[@]}" download --no-deps --dest "$to/wheel" "$original"
"$python" -m zipfile --extract "$to"/wheel/*.whl "$to/wheel"
mv "$to/wheel/sglang/bench_serving.py" "$to/"
rm -r "$to/wheel"
"${pip[@]}" install --no-deps --no-compile --target "$to/site" "${packages[@]}"
# Only its sets of pictures need this package, which would bring 200 MB.
cat >"$to/site/datasets.py" <<'STUB'
def load_dataset(*_args, **_options):
    raise RuntimeError("the package datasets is not installed here")
STUB
TRANSFORMERS_VERBOSITY=error PYTHONPATH="$to/site" "$python" "$to/bench_serving.py" --help >/dev/null
echo "$wanted" >"$to/.complete"
