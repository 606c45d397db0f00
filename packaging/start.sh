#!/usr/bin/env bash
# Sets everything up on the first call, then opens the window. Without a display, or with --headless, does the main job
# instead: quantizes the sample model. Further arguments are passed on to the window or to `dfrot run`.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"

headless=false
[[ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" && "$(uname)" == Linux ]] && headless=true
arguments=()
for argument in "$@"; do
  if [[ "$argument" == --headless ]]; then headless=true; else arguments+=("$argument"); fi
done

ensure_environment run
if [[ "$headless" == false ]]; then
  ensure_libraries "${OFFSCREEN_LIBRARIES[@]}" "${WINDOW_LIBRARIES[@]}"
  check_qt
  exec "$python" -m dfrot_gui ${arguments[@]+"${arguments[@]}"}
fi

# A finished run of the same recipe says so and shows its table; an unfinished one goes on where it stopped.
exec "$python" -m dfrot_engine run --model sample --preset w4a4 \
  --output "$PWD/dfrot-output/SmolLM2-135M-Instruct-w4a4" ${arguments[@]+"${arguments[@]}"}
