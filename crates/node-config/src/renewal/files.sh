# Renews the certificates of a member of a control plane as `kubeadm certs renew all` does. Killed anywhere, it leaves
# certificates that fit their keys; started again it does everything anew.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
kubernetes=/etc/kubernetes
# On the file system of what it replaces, so that each file is replaced in one step. The kubelet reads no directory in it. Who
# finds it knows that a renewal was cut off.
new=$kubernetes/.gantry-renewal

# Puts new certificates in place. The arguments are further programs that the caller needs later.
renew_files() {
    for tool in flock unshare kubeadm "$@"; do
        if ! command -v "$tool" > /dev/null; then
            echo "this machine has no $tool" >&2
            exit 1
        fi
    done

    exec 9> /run/gantry-renewal.lock
    if ! flock -w 30 9; then
        echo "another renewal is at work on this machine" >&2
        exit 1
    fi

    for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        if [ ! -s "$kubernetes/manifests/$name.yaml" ]; then
            echo "$kubernetes/manifests/$name.yaml is not there: kubeadm has not made a member of the control plane of this machine" >&2
            exit 1
        fi
    done

    # kubeadm writes a key and its certificate one after the other, so it works on a copy that it takes for /etc/kubernetes.
    rm -rf "$new"
    mkdir -m 0700 "$new"
    trap 'rm -rf "$new"' EXIT
    cp -a "$kubernetes/pki" "$kubernetes"/*.conf "$new/"
    # Without an answer of the API it takes its own defaults, which name the same files.
    unshare --mount sh -c 'mount --bind "$1" /etc/kubernetes && exec timeout --foreground 120 kubeadm certs renew all' renew "$new" 9>&- 3>&-

    for name in apiserver etcd/server; do
        if cmp -s "$new/pki/$name.crt" "$kubernetes/pki/$name.crt"; then
            echo "kubeadm has not renewed $kubernetes/pki/$name.crt: is the key of its authority on this machine?" >&2
            exit 1
        fi
    done

    sync
    for certificate in "$new"/pki/*.crt "$new"/pki/etcd/*.crt; do
        name=${certificate#"$new/"}
        ! cmp -s "$certificate" "$kubernetes/$name" || continue
        mv -f "${certificate%.crt}.key" "$certificate" "$kubernetes/${name%/*}/"
    done
    for config in "$new"/*.conf; do
        name=${config##*/}
        cmp -s "$config" "$kubernetes/$name" || mv -f "$config" "$kubernetes/$name"
    done
    sync
}
