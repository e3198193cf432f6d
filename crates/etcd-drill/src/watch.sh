#   sh -c watch.sh NAME KIBIBYTES PROGRAM [ARGUMENT ...]
# Runs a program with limits in the process group of this shell, and ends the whole group when standard input ends: that is
# a pipe of the caller, and ends with it, however it ends.
ulimit -c 0
ulimit -d "$1"
shift
exec 3<&0 < /dev/null
set -- nice -n 10 "$@"
for drop in "--bounding-set=-all --inh-caps=-all" "--ambient-caps=-all --inh-caps=-all"; do
    # Without quotes: these are several arguments.
    if setpriv --no-new-privs $drop true 2> /dev/null; then
        set -- setpriv --no-new-privs $drop "$@"
        break
    fi
done
"$@" 3<&- &
program=$!
{
    read -r _ <&3 || :
    kill -KILL 0
} &
watcher=$!
status=0
wait "$program" || status=$?
kill -KILL "$watcher"
exit "$status"
