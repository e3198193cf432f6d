#!/bin/sh
#   bootstrap.sh init|join|join-control-plane MAC ADDRESS IGNORED-CHECKS
#   bootstrap.sh restore MAC ADDRESS IGNORED-CHECKS NAME-OF-THE-NODE [older]
# Makes this system a Kubernetes node with kubeadm; "restore" is "init" with the data of a snapshot of etcd, and "older" says
# that clients have seen later data than these. MAC and ADDRESS are "-" on a machine that was made with this script in its user
# data: it has those of its way to the network. Started again it goes on where that is possible, and ends with status
# 100 where a repetition could do harm. The first boot reports each line "gantry-stage: NAME" as the stage that begins.
set -eu
what=$1 mac=$2 address=$3 ignored=$4 name=${5-} older=${6-}
dir=/var/lib/gantry/bootstrap snapshot=$dir/etcd-snapshot.db

clean() {
    rm -rf "$dir/kubeadm.yaml" "$dir/pki" "$dir/keepalived.conf.in" "$dir/keepalived.yaml" "$dir/kube-vip.yaml.in" \
        "$snapshot" "$dir/containerd.toml.in" "$dir/restore-etcd.sh"
}

if [ -e "$dir/done" ]; then
    # The first boot that was reset after this script has put its files here again.
    clean
    exit 0
fi

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

# Address and interface by which this machine reaches its gateway; the control-plane address, which it may hold, is neither.
gateway_route() {
    gateway=$(ip -4 route show default | sed -n '/^default via /{s/^default via \([^ ]*\).*/\1/;p;q;}')
    [ -n "$gateway" ] && ip -4 -o route get "$gateway"
}

# Puts its own address into what kubeadm is told.
locate() {
    route=$(gateway_route) || return 1
    nic=$(echo "$route" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
    address=$(echo "$route" | sed -n 's/.* src \([^ ]*\).*/\1/p')
    [ -n "$nic" ] && [ -n "$address" ] || return 1
    sed -i "s/@ADDRESS@/$address/g" "$dir/kubeadm.yaml"
}

find_network() {
    if [ "$mac" = - ]; then
        locate
    else
        nic=$(interface)
    fi
}

begin network
tries=0
until find_network; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        case $mac in
        -) echo "no default route after 60 s" >&2 ;;
        *) echo "no interface with MAC $mac and address $address after 60 s" >&2 ;;
        esac
        exit 1
    fi
    sleep 1
done

# Certificates hold from one point in time to another, so the clock is right before any is made or checked.
time_servers=/etc/systemd/timesyncd.conf.d/50-gantry.conf
set_clock() {
    if systemctl cat systemd-timesyncd.service > /dev/null 2>&1; then
        systemctl enable systemd-timesyncd.service
        systemctl restart systemd-timesyncd.service
        answered=timesyncd_answered
    elif command -v chronyd > /dev/null; then
        set_chrony
        # Sixty looks, one a second.
        answered='chronyc waitsync 60 0 0 1'
    else
        echo "the image has neither systemd-timesyncd nor chrony; hostOSConfiguration.ntpConfiguration needs one of them" >&2
        exit 1
    fi
    $answered || echo "none of the time servers ($(asked_servers)) has answered within 60 s; the clock stays" >&2
}

asked_servers() {
    sed -n 's/^NTP=//p' "$time_servers"
}

timesyncd_answered() {
    tries=0
    # Made when a server has answered (systemd-timesyncd.service(8)).
    until [ -e /run/systemd/timesync/synchronized ]; do
        tries=$((tries + 1))
        [ "$tries" -le 60 ] || return 1
        sleep 1
    done
}

# The servers take the place of those of the image, between two marks: a repetition writes them anew.
set_chrony() {
    config=/etc/chrony/chrony.conf
    [ -e "$config" ] || config=/etc/chrony.conf
    unit=chronyd
    ! systemctl cat chrony.service > /dev/null 2>&1 || unit=chrony
    new=$(mktemp)
    sed -e '/^# gantry: begin$/,/^# gantry: end$/d' -e 's/^pool /# &/' -e 's/^server /# &/' "$config" > "$new"
    {
        echo '# gantry: begin'
        for server in $(asked_servers); do
            echo "server $server iburst"
        done
        echo '# gantry: end'
    } >> "$new"
    cat "$new" > "$config"
    rm -f "$new"
    systemctl enable "$unit.service"
    systemctl restart "$unit.service"
}
[ ! -e "$time_servers" ] || set_clock

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
    if [ -e "$dir/kube-vip.yaml.in" ]; then
        case $what in
        init | restore) place_kube_vip super-admin.conf ;;
        *) place_kube_vip admin.conf ;;
        esac
    fi
}

# kube-vip's static pod, with the credentials of a file of kubeadm's.
place_kube_vip() {
    mkdir -p /etc/kubernetes/manifests
    sed -e "s/@INTERFACE@/$nic/" -e "s/@KUBECONFIG@/$1/" "$dir/kube-vip.yaml.in" > /etc/kubernetes/kube-vip.yaml.new
    chmod 0600 /etc/kubernetes/kube-vip.yaml.new
    # In one step: the kubelet looks at every change.
    mv -f /etc/kubernetes/kube-vip.yaml.new /etc/kubernetes/manifests/kube-vip.yaml
}

# Waits until the control-plane address leads to an API server of this cluster, which is ours: there is no other one. A load
# balancer may take as long as the appliance lets it, because a person has to see to it.
wait_for_address() {
    begin "$1"
    why=$(mktemp)
    tries=0
    until kubectl --kubeconfig /etc/kubernetes/super-admin.conf --request-timeout 5s get --raw /readyz > /dev/null 2> "$why"; do
        tries=$((tries + 1))
        if [ "$1" = kube-vip ] && [ "$tries" -ge 180 ]; then
            echo "kube-vip has not brought the control-plane address up, or the API server is not ready: $(tail -n 1 "$why")" >&2
            exit 1
        fi
        sleep 5
    done
    rm -f "$why"
}

# Phases of kubeadm init that need nothing but this machine, and those that ask the API at the control-plane address, which
# kubeadm waits for only a minute.
local_phases=preflight,certs,kubeconfig,etcd,control-plane,kubelet-start,wait-control-plane
api_phases=upload-config,upload-certs,mark-control-plane,bootstrap-token,kubelet-finalize,addon,show-join-command

# kubeadm init where the address may be up much later than the API server. The argument names phases that are left out.
init_in_two_parts() {
    holder=load-balancer
    [ ! -e "$dir/kube-vip.yaml.in" ] || holder=kube-vip
    early=$api_phases
    ! grep -q '^- wait-control-plane$' "$dir/kubeadm.yaml" || early=$early,wait-control-plane
    kubeadm init --config "$dir/kubeadm.yaml" --ignore-preflight-errors "$ignored" --skip-token-print \
        --skip-certificate-key-print --skip-phases="$early"
    wait_for_address "$holder"
    begin kubeadm-init
    kubeadm init --config "$dir/kubeadm.yaml" --ignore-preflight-errors "$ignored" --skip-token-print \
        --skip-certificate-key-print --skip-phases="$local_phases,kubelet-finalize${1:+,$1}"
}

# etcd's own tool, from the image that etcd runs from. Calls it with the arguments.
etcdutl() {
    image=$(kubeadm config images list --config "$dir/kubeadm.yaml" | grep '/etcd:') || {
        echo "kubeadm names no image of etcd" >&2
        exit 1
    }
    if ! ctr -n k8s.io images ls -q | grep -qxF "$image"; then
        # By the container runtime, which knows the site's registries.
        kubeadm config images pull --config "$dir/kubeadm.yaml"
    fi
    mount=$dir/etcd-image
    mkdir -p "$mount"
    # An earlier try may have been reset.
    ctr -n k8s.io images unmount --rm "$mount" > /dev/null 2>&1 || true
    ctr -n k8s.io images mount "$image" "$mount" > /dev/null
    status=0
    "$mount/usr/local/bin/etcdutl" "$@" || status=$?
    ctr -n k8s.io images unmount --rm "$mount" > /dev/null
    rmdir "$mount"
    return "$status"
}

# containerd's own configuration with the lines of ours, which hold passwords, between two marks: a repetition writes them
# anew. It must also say where the hosts.toml files are; that of the node image does.
configure_containerd() {
    config=/etc/containerd/config.toml
    plugin=io.containerd.grpc.v1.cri
    [ -e "$config" ] || echo 'version = 2' > "$config"
    ! grep -q '^ *version *= *3' "$config" || plugin=io.containerd.cri.v1.images
    new=$(mktemp "$config.XXXXXX")
    sed -e '/^# gantry: begin$/,/^# gantry: end$/d' \
        -e "s|^\( *config_path *= *\)[\"'][\"'] *\$|\1\"/etc/containerd/certs.d\"|" "$config" > "$new"
    {
        echo '# gantry: begin'
        grep -q "^ *config_path *= *[\"'].*/etc/containerd/certs.d" "$new" ||
            printf '[plugins."%s".registry]\n  config_path = "/etc/containerd/certs.d"\n' "$plugin"
        sed "s/^\[plugins\.\"@PLUGIN@\"/[plugins.\"$plugin\"/" "$dir/containerd.toml.in"
        echo '# gantry: end'
    } >> "$new"
    sync "$new"
    mv "$new" "$config"
}

# By the tool of the distribution.
trust_certificates() {
    if command -v update-ca-certificates > /dev/null; then
        update-ca-certificates
    else
        cp /usr/local/share/ca-certificates/gantry-*.crt /etc/pki/ca-trust/source/anchors/
        update-ca-trust extract
    fi
}

begin containerd
for tool in containerd kubelet kubeadm kubectl; do
    if ! command -v "$tool" > /dev/null; then
        echo "there is no $tool on this machine; osImageURL has to name an image that is made for nodes of Kubernetes" >&2
        exit 100
    fi
done
mkdir -p /etc/kubernetes/patches
changed=no
for bundle in /usr/local/share/ca-certificates/gantry-*.crt; do
    [ -e "$bundle" ] || continue
    trust_certificates
    changed=yes
    break
done
if [ -e "$dir/containerd.toml.in" ]; then
    configure_containerd
    changed=yes
fi
if [ "$changed" = yes ] || [ -d /etc/systemd/system/containerd.service.d ]; then
    # It runs since the boot, without the settings that came with this script.
    systemctl daemon-reload
    systemctl restart containerd.service
fi
systemctl start containerd.service
# kubeadm starts the kubelet, and leaves to the image whether it comes back after a restart.
systemctl enable kubelet.service
again=no
[ ! -e "$dir/started" ] || again=yes

case $what in
init | restore)
    skipped=
    if [ "$what" = restore ]; then
        begin etcd-restore
        . "$dir/restore-etcd.sh"
        # A variable by itself is one argument or none.
        restore_etcd "$snapshot" /var/lib/etcd "$name" "https://$address:2380" $older
        # DNS and kube-proxy are in the data, and get another image when every node has it.
        skipped=addon
    fi
    # kubeadm's phases may be repeated: certificates and keys that are there are kept.
    [ "$again" = no ] || ignored=all
    begin kubeadm-init
    place_files
    : > "$dir/started"
    sync
    if [ -e "$dir/keepalived.conf.in" ]; then
        kubeadm init --config "$dir/kubeadm.yaml" --ignore-preflight-errors "$ignored" --skip-token-print \
            --skip-certificate-key-print ${skipped:+--skip-phases="$skipped"}
    else
        init_in_two_parts "$skipped"
    fi
    # kubeadm's phase kubelet-finalize without its restart: from its next start on the kubelet takes the certificate
    # that it renews, not the one that kubeadm made.
    conf=/etc/kubernetes/kubelet.conf current=/var/lib/kubelet/pki/kubelet-client-current.pem
    if [ -e "$current" ]; then
        kubectl --kubeconfig "$conf" config set-credentials "$(sed -n 's/^ *user: //p' "$conf")" \
            --client-certificate "$current" --client-key "$current"
    fi
    if [ "$what" = init ]; then
        # kubeadm asks no share of the processor for it, so on a busy node it would start last; EKS asks as much.
        kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system set resources daemonset/kube-proxy \
            --requests cpu=100m || echo "kube-proxy stays without a share of the processor" >&2
    fi
    if [ -e "$dir/kube-vip.yaml.in" ]; then
        # That file has rights of its own now, which can be revoked, unlike those of super-admin.conf.
        place_kube_vip admin.conf
    fi
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
clean
