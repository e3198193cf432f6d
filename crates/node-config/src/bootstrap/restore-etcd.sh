# Functions of POSIX sh that put the data of a snapshot where etcd looks for them; `etcdutl` is a command or a function of
# the caller. bootstrap.sh has them on a machine, and a drill on the appliance.

# A snapshot ends with the SHA-256 of what is before it.
is_intact() {
    found=$(head -c -32 "$1" | sha256sum | cut -d ' ' -f 1)
    [ "$found" = "$(tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \n')" ]
}

must_be_intact() {
    is_intact "$1" && return
    echo "the snapshot of etcd is damaged: its SHA-256 is not the one at its end" >&2
    exit 100
}

#   restore_etcd SNAPSHOT DIRECTORY NAME-OF-THE-MEMBER URL-OF-THE-MEMBER [older]
# "older" says that clients have seen later data than these. The data get there complete in one step, so a reset repeats all
# of it or nothing.
restore_etcd() {
    from=$1 to=$2 new=$2.new member=$3 peer=$4 seen=${5-}
    [ ! -d "$to/member" ] || return 0
    must_be_intact "$from"
    rm -rf "$new"
    set -- --data-dir "$new" --name "$member" --initial-cluster "$member=$peer" --initial-advertise-peer-urls "$peer"
    if [ -n "$seen" ]; then
        # No client may take what comes for what it has seen: all watches begin anew (etcd, "Restoring with revision bump").
        set -- "$@" --bump-revision @BUMP@ --mark-compacted
    fi
    etcdutl snapshot restore "$from" "$@"
    chmod 0700 "$new"
    sync
    # An empty one may be there, and nothing else may be replaced.
    [ ! -e "$to" ] || rmdir "$to"
    mv "$new" "$to"
    sync
}
