#!/usr/bin/env bash
# Sets everything up for the tests, then runs every check. Arguments are passed on to tests.check (for example --fast).
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"

ensure_environment dev
ensure_libraries "${OFFSCREEN_LIBRARIES[@]}" "${WINDOW_LIBRARIES[@]}"
check_qt
cd "$root"

# Tests that need a display get a virtual one where Xvfb can be had; otherwise they skip and say so.
if [[ -z "${DISPLAY:-}" ]]; then
  if command -v Xvfb >/dev/null || install_packages xvfb xauth; then
    number="$(mktemp)"
    Xvfb -displayfd 3 -screen 0 1600x1000x24 -nolisten tcp 3>"$number" >/dev/null 2>&1 </dev/null &
    xvfb=$!
    trap 'kill "$xvfb" 2>/dev/null || true; rm -f "$number"' EXIT
    for _ in {1..100}; do
      [[ -s "$number" ]] && break
      sleep 0.1
    done
    if [[ -s "$number" ]]; then
      DISPLAY=":$(<"$number")"
      export DISPLAY
    else
      say "test: Xvfb did not start; tests that need a display will be skipped"
    fi
  else
    say "test: Xvfb is not installed; tests that need a display will be skipped"
  fi
fi

QT_QPA_PLATFORM=offscreen "$python" -m tests.check "$@"
