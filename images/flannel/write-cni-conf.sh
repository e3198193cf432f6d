#!/bin/sh
# Runs beside flanneld: as soon as flannel has this node's subnet, writes the CNI configuration,
# so the node turns Ready when its pod network works and not before; afterwards it keeps the two in step.
# flannel writes FLANNEL_SUBNET as the bridge's own address (10.244.1.1/24); host-local wants the network.
set -eu
env_file=${FLANNEL_ENV:-/run/flannel/subnet.env}
conf_dir=${CNI_CONF_DIR:-/etc/cni/net.d}
last=

write_conf() {
    network=$(ipcalc -n "$FLANNEL_SUBNET" | sed 's/^NETWORK=//')
    prefix=${FLANNEL_SUBNET#*/}
    cat > "$conf_dir/.10-flannel.conflist.new" <<CONF
{
  "cniVersion": "1.0.0",
  "name": "cbr0",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "isDefaultGateway": true,
      "ipMasq": false,
      "hairpinMode": true,
      "mtu": $FLANNEL_MTU,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "$network/$prefix"}]]
      }
    },
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }
  ]
}
CONF
    mv "$conf_dir/.10-flannel.conflist.new" "$conf_dir/10-flannel.conflist"
    echo "CNI configuration written for $network/$prefix"
}

trap 'exit 0' TERM INT
while :; do
    if [ -s "$env_file" ]; then
        now=$(cat "$env_file")
        if [ "$now" != "$last" ]; then
            . "$env_file"
            write_conf
            last=$now
        fi
    fi
    sleep 2 & wait $!
done
