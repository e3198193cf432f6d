#!/bin/sh
# Makes this machine a node. cloud-init runs it at every boot; what is done already is not done again. Status 100 says that a
# repetition could do harm.
tries=0
while :; do
    status=0
    @COMMAND@ || status=$?
    [ "$status" -ne 0 ] || exit 0
    tries=$((tries + 1))
    if [ "$status" -eq 100 ] || [ "$tries" -ge 4 ]; then
        exit "$status"
    fi
    sleep $((10 * tries))
done
