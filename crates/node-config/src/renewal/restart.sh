#   restart.sh ADDRESS SECONDS, after files.sh
# Renews the certificates of this member, and restarts its static pods, one after the other: each may take so many seconds. Runs
# on the host of the member, and needs no API to go on. Killed anywhere, it leaves whole manifests; started again it does
# everything anew. At its end it writes the SHA-256 of the certificates of API server and etcd to descriptor 3, for whoever
# compares them with those that are served.
address=$1 limit=$2
renew_files ss kubectl

# Seconds, by a clock that nobody sets.
seconds() {
    cut -d . -f 1 /proc/uptime
}

# The process of a static pod: the one that listens at its port, or without a port the one of its name.
process() {
    if [ -n "${2-}" ]; then
        ss -Hltnp "sport = :$2" | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -n 1
        return
    fi
    for entry in /proc/[0-9]*; do
        [ "$(cat "$entry/comm" 2> /dev/null)" != "$1" ] || echo "${entry##*/}"
    done | head -n 1
}

# The kubelet restarts a static pod whose manifest is another one, so that of a run before, in the same second, must be too.
mark=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
restart() {
    manifest=$kubernetes/manifests/$1.yaml
    before=$(process "$@")
    annotation="    gantry.dev/certificates-renewed: \"$mark\""
    {
        if grep -q '^  annotations:$' "$manifest"; then
            sed -e '/^    gantry.dev\/certificates-renewed: /d' -e "/^  annotations:\$/a\\
$annotation" "$manifest"
        else
            sed "/^metadata:\$/a\\
\\  annotations:\\
$annotation" "$manifest"
        fi
    } > "$new/$1.yaml"
    if ! grep -qF "$mark" "$new/$1.yaml"; then
        echo "$manifest has no metadata as kubeadm writes it" >&2
        exit 1
    fi
    chmod 0600 "$new/$1.yaml"
    sync "$new/$1.yaml"
    mv -f "$new/$1.yaml" "$manifest"
    sync "$kubernetes/manifests"
    echo "restarting $1"
    end=$(($(seconds) + limit))
    until now=$(process "$@") && [ -n "$now" ] && [ "$now" != "$before" ]; do
        if [ "$(seconds)" -ge "$end" ]; then
            echo "$1 was not restarted within $limit s" >&2
            exit 1
        fi
        sleep 1
    done
}

restart etcd 2379
restart kube-apiserver 6443
# Its own etcd is one of the things that it is asked for.
until kubectl --kubeconfig "$kubernetes/admin.conf" --server "https://$address:6443" --request-timeout 5s \
    get --raw /readyz > /dev/null 2> "$new/why"; do
    if [ "$(seconds)" -ge "$end" ]; then
        echo "the API server is not ready within $limit s: $(tail -n 1 "$new/why")" >&2
        exit 1
    fi
    sleep 1
done
restart kube-controller-manager 10257
restart kube-scheduler 10259
if [ -e "$kubernetes/manifests/kube-vip.yaml" ]; then
    # It reads admin.conf when it starts. The control-plane address passes to another member, or comes back.
    restart kube-vip
fi

fingerprint() {
    sed '/^-----/d' "$kubernetes/pki/$1.crt" | base64 -d | sha256sum | cut -d ' ' -f 1
}
echo "kube-apiserver $(fingerprint apiserver)" >&3
echo "etcd $(fingerprint etcd/server)" >&3
echo "the certificates of this member are new, and in use"
