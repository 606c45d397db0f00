#!/usr/bin/env bash
# Installs wheel and sdist with pip, pipx and uv into empty environments, one for each Python that is here, and starts the
# program there. Needs the network (or a folder of wheels in pip's settings) and some 2 GB below /tmp at a time.
#
#     packaging/try_installs.sh [PYTHON …]        # by default python3.11 python3.12 python3.13, as far as they are here
#
# A PyTorch that was there before has to be there afterwards, the very same.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
work="$(mktemp -d /tmp/dfrot-installs-XXXXXX)"
trap 'rm -rf "$work"' EXIT
constraints="$root/packaging/constraints.txt"
torch="$(grep '^torch==' "$constraints")"
# With nothing that says which PyTorch: it is kept because it is there.
grep -v '^torch==' "$constraints" >"$work/others.txt"
export PIP_CONSTRAINT="$constraints" UV_CONSTRAINT="$constraints" PIP_DISABLE_PIP_VERSION_CHECK=1 QT_QPA_PLATFORM=offscreen
export XDG_CACHE_HOME="$work/cache" PIPX_HOME="$work/pipx" PIPX_BIN_DIR="$work/pipx-bin" UV_TOOL_DIR="$work/uv" UV_TOOL_BIN_DIR="$work/uv-bin"

say() { printf 'installs: %s\n' "$*" >&2; }

# starts BIN TITLE: the three ways in, each to its end.
starts() {
  local bin="$1" title="$2"
  "$bin/dfrot" --version >"$work/version"
  "$bin/dfrot" doctor >"$work/doctor" || { cat "$work/doctor" >&2; say "$title: dfrot doctor finds a fault"; exit 1; }
  # The window is open when it has not ended by itself after a while; timeout says 124.
  local status=0
  (cd "$work" && timeout 15 "$bin/dfrot-gui" >"$work/window" 2>&1) || status=$?
  [[ $status -eq 124 ]] || { cat "$work/window" >&2; say "$title: the window ended with $status"; exit 1; }
  say "$title: $(<"$work/version"), doctor and window start"
}

# with_pip PYTHON WHAT TITLE: WHAT into an empty environment that has a PyTorch of its own.
with_pip() {
  local env="$work/env" before after
  "$1" -m venv "$env"
  "$env/bin/python" -m pip install -q --no-compile "$torch"
  before="$(fingerprint "$env")"
  PIP_CONSTRAINT="$work/others.txt" "$env/bin/python" -m pip install -q --no-compile "$2"
  after="$(fingerprint "$env")"
  [[ "$before" == "$after" ]] || { say "$3: PyTorch was replaced: $before, now $after"; exit 1; }
  starts "$env/bin" "$3 (kept PyTorch ${after%% *})"
  rm -rf "$env"
}

# fingerprint ENV: version and time of the files of PyTorch.
fingerprint() {
  "$1/bin/python" - <<'PY'
import importlib.metadata, pathlib
torch = importlib.metadata.distribution("torch")
print(torch.version, pathlib.Path(torch.locate_file("torch/version.py")).stat().st_ino)
PY
}

pythons=("$@")
[[ ${#pythons[@]} -gt 0 ]] || pythons=(python3.11 python3.12 python3.13)
first=""
for python in "${pythons[@]}"; do
  if ! "$python" -c '' 2>/dev/null; then
    say "$python is not here"
    continue
  fi
  if [[ -z "$first" ]]; then
    first="$python"
    "$python" -m venv "$work/tools"
    "$work/tools/bin/python" -m pip install -q build pipx uv
    "$work/tools/bin/python" -m build --outdir "$work/dist" "$root" >"$work/build.log" 2>&1 || { tail -5 "$work/build.log" >&2; exit 1; }
    wheel=("$work"/dist/*.whl) sdist=("$work"/dist/*.tar.gz)
  fi
  with_pip "$python" "${wheel[0]}" "pip, wheel, $("$python" -V)"
done
with_pip "$first" "${sdist[0]}" "pip, sdist, $("$first" -V)"
"$work/tools/bin/pipx" install --quiet --python "$(command -v "$first")" "${wheel[0]}"
starts "$work/pipx-bin" "pipx"
rm -rf "$PIPX_HOME"
# uv does not read pip's settings.
UV_FIND_LINKS="${UV_FIND_LINKS-$("$first" -m pip config get global.find-links 2>/dev/null || true)}"
export UV_FIND_LINKS
"$work/tools/bin/uv" tool install --quiet --python "$(command -v "$first")" "${wheel[0]}"
starts "$work/uv-bin" "uv tool"
say "all is well"
