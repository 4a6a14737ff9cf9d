#!/bin/sh
# Health check of a container: 0 where the camera loop gave its word within the last half minute.
# Docker only shows an unhealthy container. So a loop that hangs is ended here, and the restart policy starts it again;
# SIGABRT makes it write where it hung. Without --init it is process 1, which no signal from inside ends.
set -u
heartbeat=${AAND_EDGE_HEARTBEAT:?}
patience=${AAND_EDGE_PATIENCE_S:-30}
younger() { [ -n "$(find "$heartbeat" -newermt "-$1 seconds")" ]; }

[ -s "$heartbeat" ] || exit 1 # still loading
younger "$patience" && exit 0
signal=KILL
younger $((2 * patience)) && signal=ABRT
kill -s "$signal" "$(cat "$heartbeat")"
exit 1
