//! What Tinkerbell adds: device names of partitions and prefix lengths (reference §5.2). And `netmaskToCIDR`, the name of the
//! latter in files that EKS Anywhere has generated.

use std::net::Ipv4Addr;

use gotmpl::Value;

use sprig::args::{Outcome, fail, string, text};
use sprig::{Function, entry};

pub(super) const TABLE: &[Function] = &[
    entry(
        "formatPartition",
        format_partition,
        r#"{{ formatPartition "/dev/nvme0n1" 2 }}"#,
        "/dev/nvme0n1p2",
    ),
    entry(
        "netmaskToPrefixLength",
        prefix_length,
        r#"{{ netmaskToPrefixLength "255.255.255.0" }}"#,
        "24",
    ),
    entry(
        "netmaskToCIDR",
        prefix_length,
        r#"{{ netmaskToCIDR "255.255.255.0" }}"#,
        "24",
    ),
];

/// udev names partitions of a link `-partN`, the kernel `pN` after a digit and `N` after a letter.
fn format_partition(args: &[Value]) -> Outcome {
    let (device, number) = (string(args, 0)?, string(args, 1)?);
    let between = if device.starts_with("/dev/disk/") {
        "-part"
    } else if device.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    Ok(text(format!("{device}{between}{number}")))
}

/// A string, as upstream gives it.
fn prefix_length(args: &[Value]) -> Outcome {
    let mask = string(args, 0)?;
    let Ok(bits) = mask.trim().parse::<Ipv4Addr>().map(u32::from) else {
        return fail(format!("{mask:?} is no netmask, such as 255.255.255.0"));
    };
    if bits.leading_ones() + bits.trailing_zeros() < 32 {
        return fail(format!("{mask:?} is no netmask: its one bits are not in front"));
    }
    Ok(text(bits.leading_ones().to_string()))
}
