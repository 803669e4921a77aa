#!/usr/bin/env bash
# Runs a command on an X server of its own, with a window manager and a tray.
set -eu

if [ "${1:-}" != --inside ]; then
    for program in xvfb-run openbox trayer xprop; do
        if ! command -v "$program" >/dev/null; then
            echo "Skipped, as $program is not installed: $*"
            exit 0
        fi
    done
    exec xvfb-run --auto-servernum --server-args '-screen 0 1280x800x24 +extension GLX' \
        "$0" --inside "$@"
fi
shift

openbox --config-file /dev/null >/dev/null 2>&1 &
openbox=$!
trayer --edge top --align right --widthtype request --height 24 >/dev/null 2>&1 &
trayer=$!
trap 'kill $openbox $trayer 2>/dev/null || true; wait' EXIT

for _ in $(seq 100); do
    xprop -root _NET_SUPPORTING_WM_CHECK | grep -q 0x && break
    sleep 0.1
done
sleep 0.5 # trayer announces itself in no property that xprop shows on the root

unset WAYLAND_DISPLAY
QT_QPA_PLATFORM=xcb "$@"
