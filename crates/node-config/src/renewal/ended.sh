#   ended.sh NODE, after files.sh
# Renews the certificates of this member while its system does not run, in the installer, when they have ended. With the name of
# its node the kubelet gets a new certificate too: one that has ended could ask nobody for the next.
node=$1
renew_files
[ -n "$node" ] || exit 0

# Of the file that kubeadm makes only certificate and key are taken, so the address in it goes nowhere: the file of the kubelet
# stays, and names them by this link.
kubelet=/var/lib/kubelet/pki
mkdir -m 0700 "$new/kubelet"
timeout --foreground 120 kubeadm init phase kubeconfig kubelet --node-name "$node" --kubeconfig-dir "$new/kubelet" \
    --apiserver-advertise-address 192.0.2.1 --kubernetes-version "$(kubeadm version -o short)" 9>&- >&2
of() {
    sed -n "s/^ *$1: //p" "$new/kubelet/kubelet.conf" | base64 -d
}
pem=$kubelet/kubelet-client-$(date -u +%Y-%m-%d-%H-%M-%S).pem
umask 077
{
    of client-certificate-data
    of client-key-data
} > "$new/kubelet/client.pem"
if ! grep -q 'PRIVATE KEY' "$new/kubelet/client.pem"; then
    echo "kubeadm has made no certificate for the kubelet of $node" >&2
    exit 1
fi
sync "$new/kubelet/client.pem"
cp "$new/kubelet/client.pem" "$pem.new"
sync "$pem.new"
mv -f "$pem.new" "$pem"
ln -s "$pem" "$new/kubelet/current"
mv -fT "$new/kubelet/current" "$kubelet/kubelet-client-current.pem"
sync
