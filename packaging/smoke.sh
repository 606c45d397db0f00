#!/usr/bin/env bash
# Installs the Debian package into a bare Debian, quantizes a tiny model there by clicks, without a network and as a user
# with an empty home folder, checks the result from outside, removes the package and shows what is left.
#
#     sudo packaging/smoke.sh PACKAGE.deb [FOLDER]
#
# FOLDER (by default a new one below /tmp) keeps the bare system for the next time, pictures of the window and lists of
# files. Needs root, debootstrap, unshare, Xvfb, openbox, xdotool, ImageMagick, tesseract, and the environment of
# packaging/test.sh (or DFROT_PYTHON) to make and to check the model.
set -euo pipefail

package="$(realpath -- "$1")"
work="$(realpath -- "${2:-$(mktemp -d /tmp/dfrot-smoke-XXXXXX)}")"
here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)"
python="${DFROT_PYTHON:-$here/../.venv/bin/python}"
suite="${DFROT_SUITE:-bookworm}"
base="$work/base" root="$work/root" home=/home/person
started=()

say() { printf 'smoke: %s\n' "$*" >&2; }
give_up() {
  say "$*"
  exit 1
}

tidy() {
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
}
trap tidy EXIT

# in_root COMMAND …: as root in the bare system, with a network, for apt.
in_root() {
  unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" \
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# as_person COMMAND …: as a user, without a network, with the display and nothing else of this system.
as_person() {
  unshare --mount --pid --net --ipc --fork --kill-child --mount-proc="$root/proc" bash -c '
    mount --bind /tmp/.X11-unix "$0/tmp/.X11-unix" && mount -t tmpfs tmpfs "$0/dev/shm" || exit 1
    exec chroot --userspec=person:person "$0" env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 USER=person HOME='"$home"' \
      DISPLAY="$DISPLAY" sh -c "cd && exec \"\$@\"" sh "$@"' "$root" "$@"
}

# list_files NAME: everything in the bare system; what apt and dpkg write about themselves is left out.
list_files() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./var/lib/apt -o -path ./var/lib/dpkg \
    -o -path ./var/cache -o -path ./var/log \) -prune -o -printf '%y %p\n' | LC_ALL=C sort) >"$work/$1"
}

make_root() {
  if [[ ! -e "$base/etc/debian_version" ]]; then
    say "making a bare $suite in $base"
    debootstrap --variant=minbase "$suite" "$base" http://deb.debian.org/debian >"$work/debootstrap.log"
  fi
  rm -rf "$root"
  cp -a "$base" "$root"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  mkdir -p -m 1777 "$root/tmp/.X11-unix"
  in_root useradd --create-home --home-dir "$home" --uid 1000 person
  in_root apt-get update -qq
}

install_package() {
  say "installing $(basename "$package") with apt"
  cp "$package" "$root/tmp/package.deb"
  in_root apt-get install -y -qq --no-install-recommends /tmp/package.deb >"$work/install.log" 2>&1 ||
    give_up "apt could not install it; see $work/install.log"
  rm "$root/tmp/package.deb"
}

open_display() {
  local number="$work/display"
  rm -f "$number"  # of the last time
  Xvfb -displayfd 3 -screen 0 1440x900x24 -nolisten tcp -ac 3>"$number" >"$work/xvfb.log" 2>&1 &
  started+=($!)
  for _ in {1..600}; do
    [[ -s "$number" ]] && break
    sleep 0.1
  done
  [[ -s "$number" ]] || give_up "Xvfb did not start; see $work/xvfb.log"
  export DISPLAY=":$(<"$number")"
  openbox >"$work/openbox.log" 2>&1 &
  started+=($!)
}

use_it() {
  "$python" "$here/smoke_check.py" make "$root$home/tiny-llama" 2>"$work/make.log"
  chown -R 1000:1000 "$root$home/tiny-llama"
  as_person dfrot --version
  as_person dfrot doctor >"$work/doctor.txt" || give_up "dfrot doctor finds a fault; see $work/doctor.txt"
  open_display
  say "opening the window on $DISPLAY and quantizing by clicks"
  as_person dfrot-gui >"$work/window.log" 2>&1 &
  local window=$!
  started+=("$window")
  python3 "$here/smoke_clicks.py" "$home/tiny-llama" "$work/pictures" || {
    import -window root "$work/pictures/failed.png"
    give_up "the clicks failed; see $work/pictures/failed.png and $work/window.log"
  }
  for _ in {1..60}; do
    kill -0 "$window" 2>/dev/null || break
    sleep 1
  done
  if kill -0 "$window" 2>/dev/null; then give_up "the window does not close"; fi
  wait "$window" || give_up "the window ended with status $?; see $work/window.log"
}

check_result() {
  local output
  output="$(dirname -- "$(find "$root$home" -name model.safetensors -path '*/dfrot/*' -not -path '*.dfrot/*' | head -n 1)")"
  [[ -f "$output/model.safetensors" ]] || give_up "no checkpoint was saved"
  "$python" "$here/smoke_check.py" check "$root$home/tiny-llama" "$output" 2>"$work/check.log" ||
    give_up "the result is not what it should be; see $work/check.log"
  as_person dfrot verify "${output#"$root"}" || give_up "dfrot verify does not agree"
}

remove_package() {
  in_root apt-get purge -y -qq --autoremove dfrot-gui >"$work/purge.log" 2>&1 || give_up "purge failed; see $work/purge.log"
  list_files after
  LC_ALL=C comm -13 "$work/before" "$work/after" >"$work/left"
  say "left behind in the home folder:"
  grep -F " .$home/" "$work/left" | grep '^d' | cut -d/ -f4-6 | sort -u | sed 's/^/  /' >&2
  if grep -vF " .$home" "$work/left" >&2; then give_up "the package left these behind"; fi
  say "nothing else is left"
}

make_root
list_files before
install_package
list_files installed
use_it
check_result
remove_package
say "all is well; pictures are in $work/pictures"
