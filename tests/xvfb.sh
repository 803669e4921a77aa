#!/usr/bin/env bash
# Runs a command on an X server of its own, with a window manager and a tray.
set -eu

if [ "${1:-}" != --inside ]; then
    for program in xvfb-run openbox trayer xprop xwininfo; do
        if ! command -v "$program" >/dev/null; then
            echo "Skipped, as $program is not installed: $*"
            exit 0
        fi
    done
    # Without -noreset the server starts over, and refuses who comes just then, whenever
    # its last client has gone: as xprop below may be.
    exec xvfb-run --auto-servernum --server-args '-screen 0 1280x800x24 +extension GLX -noreset' \
        "$0" --inside "$@"
fi
shift

openbox --config-file /dev/null >/dev/null 2>&1 &
openbox=$!
for _ in $(seq 100); do
    xprop -root _NET_SUPPORTING_WM_CHECK 2>/dev/null | grep -q 0x && break
    sleep 0.1
done
trayer --edge top --align right --widthtype request --height 24 >/dev/null 2>&1 &
trayer=$!
trap 'kill $openbox $trayer 2>/dev/null || true; wait' EXIT
for _ in $(seq 100); do
    xwininfo -root -tree 2>/dev/null | grep -q '"panel" "trayer"' && break
    sleep 0.1
done

unset WAYLAND_DISPLAY
QT_QPA_PLATFORM=xcb "$@"
