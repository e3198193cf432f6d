//! The JSON Schemas of what only this driver understands.

use driver::sdk::Schemas;
use serde_json::{Value, json};

use crate::scope::{HOST, NETWORK};

/// Raised with every change that is more than an added optional field.
const VERSION: u32 = 1;

pub(crate) fn all() -> Schemas {
    Schemas {
        scope: scope(),
        secret: json!({
            "type": "object", "additionalProperties": false, "title": "Nothing: who may open the socket is in",
        }),
        machine: machine(),
        image: image(),
        identity: json!({
            "type": "object", "required": ["containerId"],
            "properties": {"containerId": {"type": "string", "title": "Id of the container"}},
        }),
        version: VERSION,
    }
}

pub(crate) fn scope() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "title": "A Docker daemon",
        "properties": {
            "host": {
                "type": "string", "pattern": "^unix:///.", "default": HOST, "title": "Socket of the daemon",
                "description": "As in DOCKER_HOST. The driver's user has to be in the group of the socket.",
            },
            "network": {
                "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "default": NETWORK, "x-ref": "network",
                "title": "Network of the machines that name none",
            },
            "privileges": {
                "type": "string", "enum": ["privileged", "capabilities", "none"], "default": "privileged",
                "title": "What the systems of machines may do on the daemon's host",
                "description": "kubelet and a container runtime need `privileged`, or `capabilities` where the host \
                    can't give them all. With `none` they have what Docker gives every container.",
            },
            "dropCapabilities": {
                "type": "array", "items": {"type": "string", "pattern": "^[A-Z_]+$"}, "default": [],
                "title": "Capabilities that machines don't get, without CAP_",
                "description": "With privileges: capabilities. Those that the daemon's host lacks have to be here.",
            },
            "imagePolicy": {
                "type": "string", "enum": ["present", "pull"], "default": "present",
                "title": "What happens when an image is not there",
                "description": "present: an error. pull: the daemon pulls it from its registry.",
            },
        },
        "examples": [
            {},
            {"network": "kind"},
            {"privileges": "capabilities", "dropCapabilities": ["SYS_RESOURCE"], "imagePolicy": "pull"},
        ],
    })
}

pub(crate) fn machine() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "title": "A container as a machine",
        "properties": {
            "command": {
                "type": "array", "items": {"type": "string"}, "default": [],
                "x-replaces": true, "title": "What runs as process 1; empty: what the image says",
            },
            "stopSignal": {
                "type": "string", "pattern": "^(SIG[A-Z0-9+-]+)?$", "default": "",
                "x-replaces": true, "title": "Signal at which process 1 shuts down; empty: what the image says",
                "description": "systemd wants SIGRTMIN+3. An image that says nothing gets SIGTERM.",
            },
            "binds": {
                "type": "array", "items": {"type": "string", "pattern": "^/[^:]*:/[^:]*(:ro)?$"}, "default": [],
                "x-replaces": true, "title": "Paths of the daemon's host in the machine, PATH:PATH or PATH:PATH:ro",
            },
        },
        "examples": [{}, {"command": ["/sbin/init"], "stopSignal": "SIGRTMIN+3", "binds": ["/lib/modules:/lib/modules:ro"]}],
    })
}

fn image() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "title": "Where an image comes from",
        "properties": {
            "archive": {
                "type": "string", "pattern": "^/.",
                "title": "File with a tar of a root file system, which the driver can read",
                "description": "Without it the image is pulled from its registry.",
            },
        },
        "examples": [{}, {"archive": "/var/lib/gantry/images/node.tar.gz"}],
    })
}
