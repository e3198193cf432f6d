#!/bin/sh
#   bootstrap.sh init|join|join-control-plane MAC ADDRESS IGNORED-CHECKS
# Makes this system a Kubernetes node with kubeadm. Started again it goes on where that is possible, and ends with status
# 100 where a repetition could do harm. The first boot reports each line "gantry-stage: NAME" as the stage that begins.
set -eu
what=$1 mac=$2 address=$3 ignored=$4
dir=/var/lib/gantry/bootstrap

[ ! -e "$dir/done" ] || exit 0

begin() {
    echo "gantry-stage: $1"
}

# Name of the interface with our MAC that carries our address (a VLAN has its parent's MAC).
interface() {
    for link in /sys/class/net/*; do
        [ "$(cat "$link/address" 2>/dev/null)" = "$mac" ] || continue
        if ip -4 -o address show dev "${link##*/}" | grep -qF " $address/"; then
            echo "${link##*/}"
            return 0
        fi
    done
    return 1
}

begin network
tries=0
until nic=$(interface); do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        echo "no interface with MAC $mac and address $address after 60 s" >&2
        exit 1
    fi
    sleep 1
done

place_files() {
    if [ -d "$dir/pki" ]; then
        mkdir -p /etc/kubernetes/pki
        cp -a "$dir/pki/." /etc/kubernetes/pki/
    fi
    if [ -e "$dir/keepalived.conf.in" ]; then
        mkdir -p /etc/keepalived /etc/kubernetes/manifests
        sed "s/@INTERFACE@/$nic/" "$dir/keepalived.conf.in" > /etc/keepalived/keepalived.conf
        cp "$dir/keepalived.yaml" /etc/kubernetes/manifests/keepalived.yaml
    fi
}

begin containerd
mkdir -p /etc/kubernetes/patches
if [ -d /etc/systemd/system/containerd.service.d ]; then
    # It runs since the boot, without the settings that came with this script.
    systemctl daemon-reload
    systemctl restart containerd.service
fi
systemctl start containerd.service
again=no
[ ! -e "$dir/started" ] || again=yes

case $what in
init)
    # kubeadm's phases may be repeated: certificates and keys that are there are kept.
    [ "$again" = no ] || ignored=all
    begin kubeadm-init
    place_files
    : > "$dir/started"
    sync
    kubeadm init --config "$dir/kubeadm.yaml" --ignore-preflight-errors "$ignored" --skip-token-print \
        --skip-certificate-key-print
    # kubeadm's phase kubelet-finalize without its restart: from its next start on the kubelet takes the certificate
    # that it renews, not the one that kubeadm made.
    conf=/etc/kubernetes/kubelet.conf current=/var/lib/kubelet/pki/kubelet-client-current.pem
    if [ -e "$current" ]; then
        kubectl --kubeconfig "$conf" config set-credentials "$(sed -n 's/^ *user: //p' "$conf")" \
            --client-certificate "$current" --client-key "$current"
    fi
    # kubeadm asks no share of the processor for it, so on a busy node it would start last; EKS asks as much.
    kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system set resources daemonset/kube-proxy \
        --requests cpu=100m || echo "kube-proxy stays without a share of the processor" >&2
    ;;
join)
    place_files
    if [ -e /etc/kubernetes/kubelet.conf ]; then
        # The node has its own certificate already: the kubelet does the rest.
        begin kubelet
        systemctl enable --now kubelet.service
    else
        begin kubeadm-join
        [ "$again" = no ] || ignored=all
        : > "$dir/started"
        sync
        rm -f /etc/kubernetes/bootstrap-kubelet.conf
        kubeadm join --config "$dir/kubeadm.yaml" --ignore-preflight-errors "$ignored"
    fi
    ;;
join-control-plane)
    begin kubeadm-join
    skipped=
    if [ "$again" = yes ]; then
        if [ -e /etc/kubernetes/manifests/etcd.yaml ]; then
            # kubeadm gives etcd two seconds for some of its questions, and a busy member does not always answer in time. The
            # phase finds the member that it has added by its address, and the one that it has promoted by its vote.
            echo "an earlier try made this machine a member of etcd: kubeadm join goes on from there"
            ignored=all
            skipped=--skip-phases=preflight,control-plane-prepare,check-etcd,kubelet-start
        elif [ -d /var/lib/etcd/member ]; then
            # Others may count on these data. To reset the machine and to join anew could leave a member that never answers,
            # or one without its data; the appliance takes it out before anything else.
            echo "an earlier try made this machine a member of etcd and did not end, so kubeadm join is not repeated" >&2
            exit 100
        else
            kubeadm reset --force
        fi
    fi
    place_files
    : > "$dir/started"
    sync
    # Without quotes: it is one argument or none.
    kubeadm join --config "$dir/kubeadm.yaml" --ignore-preflight-errors "$ignored" $skipped
    ;;
*)
    echo "unknown: $what" >&2
    exit 2
    ;;
esac

: > "$dir/done"
sync
rm -rf "$dir/kubeadm.yaml" "$dir/pki" "$dir/keepalived.conf.in" "$dir/keepalived.yaml"
