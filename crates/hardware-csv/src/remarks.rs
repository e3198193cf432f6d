//! What looks wrong and may be right: remarks that do not stop an import.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::columns::Column;
use crate::fault::Fault;
use crate::row::{Row, mask_bits};

/// Remarks about rows that were read without fault.
#[must_use]
pub fn warnings(rows: &[Row]) -> Vec<Fault> {
    let hosts: HashMap<Ipv4Addr, &Row> = rows.iter().map(|row| (row.ip, row)).collect();
    rows.iter().flat_map(|row| remarks(row, &hosts)).collect()
}

fn remarks(row: &Row, hosts: &HashMap<Ipv4Addr, &Row>) -> Vec<Fault> {
    let mut found = Vec::new();
    let mask = mask_bits(row.prefix);
    let network = row.ip.to_bits() & mask;
    let mut remark = |column: Column, value: String, reason: String, next_step: &str| {
        found.push(Fault {
            row: row.line,
            column: Some((column.name(), 0)),
            value: Some(value),
            reason,
            next_step: next_step.to_owned(),
        });
    };
    if row.gateway.to_bits() & mask != network {
        remark(
            Column::Gateway,
            row.gateway.to_string(),
            format!("lies outside {}/{}", Ipv4Addr::from_bits(network), row.prefix),
            "check gateway and netmask; the machine can't reach it directly",
        );
    }
    if row.gateway == row.ip {
        remark(
            Column::Gateway,
            row.gateway.to_string(),
            "is the machine's own address".to_owned(),
            "check gateway and ip_address",
        );
    }
    if row.prefix < 31 && [network, network | !mask].contains(&row.ip.to_bits()) {
        remark(
            Column::IpAddress,
            row.ip.to_string(),
            "is the network's own or its broadcast address".to_owned(),
            "check ip_address and netmask",
        );
    }
    if let Some(other) = row.bmc.as_ref().and_then(|bmc| hosts.get(&bmc.ip)) {
        remark(
            Column::BmcIp,
            other.ip.to_string(),
            format!(
                "is also the ip_address of row {} ({})",
                other.line, other.hostname
            ),
            "check which of the two is meant",
        );
    }
    found
}
