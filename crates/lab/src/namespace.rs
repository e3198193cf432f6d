//! The rack's two network namespaces: made and removed whole.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::Error;
use crate::plan::{RackPlan, rack_commands, site_commands};
use crate::process::{inside, open_namespace};

/// Makes both namespaces and everything in them. On error nothing of them is left.
pub(crate) fn create(plan: &RackPlan) -> Result<(), Error> {
    let made = make(plan);
    if made.is_err() {
        remove(plan);
    }
    made
}

fn make(plan: &RackPlan) -> Result<(), Error> {
    for name in [&plan.rack_namespace, &plan.site_namespace] {
        ip(&["netns", "add", name], "")?;
        // A new namespace may inherit forwarding from the host; then a rack's machines could reach their BMCs.
        let namespace = open(name)?;
        inside(namespace, || {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "0\n")
        })
        .map_err(|source| Error::Namespace {
            name: name.clone(),
            source,
        })?;
    }
    ip(
        &["-netns", &plan.rack_namespace, "-batch", "-"],
        &rack_commands(plan).join("\n"),
    )?;
    ip(
        &["-netns", &plan.site_namespace, "-batch", "-"],
        &site_commands(plan).join("\n"),
    )
}

/// Removes both namespaces; bridges, taps and cables go with them. What is not there counts as removed.
pub(crate) fn remove(plan: &RackPlan) {
    for name in [&plan.rack_namespace, &plan.site_namespace] {
        if exists(name)
            && let Err(error) = ip(&["netns", "delete", name], "")
        {
            tracing::warn!(error = %error, "network namespace not removed");
        }
    }
}

pub(crate) fn exists(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

/// Numbers of the processes that run in a namespace.
pub(crate) fn processes(name: &str) -> Vec<i32> {
    if !exists(name) {
        return Vec::new();
    }
    let output = Command::new("ip")
        .args(["netns", "pids", name])
        .stdin(Stdio::null())
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

pub(crate) fn open(name: &str) -> Result<std::os::fd::OwnedFd, Error> {
    open_namespace(name).map_err(|source| Error::Namespace {
        name: name.to_owned(),
        source,
    })
}

/// A listening socket inside a namespace, for use from anywhere.
pub(crate) fn listen(namespace: &str, address: Ipv4Addr, port: u16) -> Result<TcpListener, Error> {
    inside(open(namespace)?, move || TcpListener::bind((address, port))).map_err(|source| Error::Listen {
        address: format!("{address}:{port}"),
        namespace: namespace.to_owned(),
        source,
    })
}

/// A UDP socket inside a namespace, for use from anywhere.
pub(crate) fn bind_udp(namespace: &str, address: Ipv4Addr, port: u16) -> Result<UdpSocket, Error> {
    inside(open(namespace)?, move || UdpSocket::bind((address, port))).map_err(|source| Error::Listen {
        address: format!("{address}:{port}/udp"),
        namespace: namespace.to_owned(),
        source,
    })
}

/// Runs `ip` with the given standard input.
fn ip(arguments: &[&str], input: &str) -> Result<(), Error> {
    let output = run(arguments, input).map_err(|source| Error::Spawn {
        program: format!("ip {}", arguments.join(" ")),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: format!("ip {}", arguments.join(" ")),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn run(arguments: &[&str], input: &str) -> std::io::Result<Output> {
    let mut child = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why on its standard error, which counts more than the broken pipe.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}
