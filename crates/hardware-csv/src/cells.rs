//! The checks of one row's cells.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use resources::bmc::BmcProtocol;
use resources::{DiskName, DiskNameError, Mac, Secret};

use crate::columns::{Column, Header};
use crate::fault::Fault;
use crate::row::{BmcAccess, Row};

/// Address and port of a BMC; several may be behind one address.
type BmcPlace = (Ipv4Addr, Option<u16>);

/// The parts of a row that could be read; what must be unique is compared even between rows with other faults.
#[derive(Debug, Clone)]
pub(crate) struct PartialRow {
    pub(crate) line: u64,
    pub(crate) hostname: Option<String>,
    pub(crate) ip: Option<Ipv4Addr>,
    pub(crate) mac: Option<Mac>,
    pub(crate) bmc_place: Option<BmcPlace>,
    row: Option<Row>,
}

impl PartialRow {
    /// The row, when nothing was wrong with it.
    pub(crate) fn complete(self) -> Option<Row> {
        self.row
    }
}

/// A row with faults.
pub(crate) struct FaultyRow {
    pub(crate) partial: Box<PartialRow>,
    pub(crate) faults: Vec<Fault>,
}

/// Reads the cells of one row.
pub(crate) fn row(line: u64, header: &Header, fields: &[String]) -> Result<PartialRow, FaultyRow> {
    let mut reader = Cells {
        line,
        header,
        fields,
        faults: Vec::new(),
    };
    let hostname = reader.checked(Column::Hostname, hostname);
    let ip = reader.checked(Column::IpAddress, ipv4);
    let prefix = reader.checked(Column::Netmask, prefix);
    let gateway = reader.checked(Column::Gateway, ipv4);
    let nameservers = reader.checked(Column::Nameservers, nameservers);
    let mac = reader.checked(Column::Mac, mac);
    let disk = reader.checked(Column::Disk, disk);
    let labels = reader.checked(Column::Labels, labels);
    let vlan = reader.checked(Column::VlanId, vlan);
    let (bmc_place, bmc) = reader.bmc();
    let row = (|| {
        Some(Row {
            line,
            hostname: hostname.clone()?,
            ip: ip?,
            prefix: prefix?,
            gateway: gateway?,
            nameservers: nameservers?,
            mac: mac?,
            disk: disk?,
            labels: labels?,
            vlan: vlan?,
            bmc: bmc?,
        })
    })();
    let faults = reader.faults;
    let partial = PartialRow {
        line,
        hostname,
        ip,
        mac,
        bmc_place,
        row,
    };
    if faults.is_empty() {
        Ok(partial)
    } else {
        Err(FaultyRow {
            partial: Box::new(PartialRow { row: None, ..partial }),
            faults,
        })
    }
}

/// Reason and next step.
type Wrong = (String, String);

fn wrong(reason: impl Into<String>, next_step: impl Into<String>) -> Wrong {
    (reason.into(), next_step.into())
}

struct Cells<'a> {
    line: u64,
    header: &'a Header,
    fields: &'a [String],
    faults: Vec<Fault>,
}

impl Cells<'_> {
    fn checked<T>(&mut self, column: Column, check: fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let cell = self.header.cell(self.fields, column).trim();
        match check(cell) {
            Ok(value) => Some(value),
            Err((reason, next_step)) => {
                self.fault(column, cell, reason, next_step);
                None
            }
        }
    }

    fn fault(&mut self, column: Column, cell: &str, reason: String, next_step: String) {
        let place = (column, self.header.number(column));
        self.faults
            .push(Fault::of_cell(self.line, place, cell, reason, next_step));
    }

    /// Address, user and password of the BMC or none of them; port and protocols only with them. User and password are
    /// taken as they stand, spaces and all.
    fn bmc(&mut self) -> (Option<BmcPlace>, Option<Option<BmcAccess>>) {
        let columns = [Column::BmcIp, Column::BmcUsername, Column::BmcPassword];
        let header = self.header;
        let fields = self.fields;
        let [ip, username, password] = columns.map(|column| header.cell(fields, column));
        let filled = [
            !ip.trim().is_empty(),
            !username.trim().is_empty(),
            !password.trim().is_empty(),
        ];
        if filled == [false; 3] {
            let alone = [Column::BmcPort, Column::BmcProtocol].map(|column| self.refuse_without_bmc(column));
            return (None, (alone == [true; 2]).then_some(None));
        }
        for (column, filled) in columns.into_iter().zip(filled) {
            if !filled {
                self.fault(
                    column,
                    "",
                    "is empty, but other columns of the BMC are filled".to_owned(),
                    "fill bmc_ip, bmc_username and bmc_password, or leave all three empty".to_owned(),
                );
            }
        }
        let address = if filled[0] {
            self.checked(Column::BmcIp, ipv4)
        } else {
            None
        };
        let port = self.checked(Column::BmcPort, port);
        let protocols = self.checked(Column::BmcProtocol, protocols);
        if let (Some(Some(port)), Some([_, _, ..])) = (port, protocols.as_deref()) {
            self.fault(
                Column::BmcPort,
                &port.to_string(),
                "could be the port of each of the protocols in bmc_protocol".to_owned(),
                "name one protocol, or leave the port out".to_owned(),
            );
            return (None, None);
        }
        let place = address.zip(port);
        let whole = place.zip(protocols).filter(|_| filled == [true; 3]);
        let access = whole.map(|((ip, port), protocols)| {
            Some(BmcAccess {
                ip,
                username: username.to_owned(),
                password: Secret::new(password.to_owned()),
                port,
                protocols,
            })
        });
        (place, access)
    }

    /// Whether a cell that says more of a BMC is empty, as it has to be where there is none.
    fn refuse_without_bmc(&mut self, column: Column) -> bool {
        let cell = self.header.cell(self.fields, column).trim();
        if cell.is_empty() {
            return true;
        }
        self.fault(
            column,
            cell,
            "is filled, but the machine has no BMC".to_owned(),
            "fill bmc_ip, bmc_username and bmc_password, or leave it empty".to_owned(),
        );
        false
    }
}

fn filled(cell: &str) -> Result<&str, Wrong> {
    if cell.is_empty() {
        Err(wrong("is empty", "fill it in"))
    } else {
        Ok(cell)
    }
}

/// RFC 1123 subdomain in lower case.
fn hostname(cell: &str) -> Result<String, Wrong> {
    let cell = filled(cell)?;
    if cell.len() > 63 {
        return Err(wrong(
            format!("is {} characters long", cell.len()),
            "use at most 63, because the name becomes a label of the node",
        ));
    }
    let label = |part: &str| {
        let inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    if cell.split('.').all(label) {
        Ok(cell.to_owned())
    } else {
        Err(wrong(
            "is not a host name",
            "use lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part",
        ))
    }
}

fn ipv4(cell: &str) -> Result<Ipv4Addr, Wrong> {
    match filled(cell)?.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if !address.is_unspecified() && !address.is_broadcast() => Ok(address),
        Ok(IpAddr::V4(_)) => Err(wrong(
            "no machine can have this address",
            "write the machine's own address",
        )),
        Ok(IpAddr::V6(_)) => Err(wrong(
            "is an IPv6 address",
            "provisioning is IPv4; write an IPv4 address",
        )),
        Err(_) => Err(wrong(
            "is not an IP address",
            "write four numbers from 0 to 255 with dots, such as 192.0.2.10",
        )),
    }
}

/// A dotted netmask of ones and then zeros.
fn prefix(cell: &str) -> Result<u8, Wrong> {
    let example = "write a dotted netmask, such as 255.255.255.0";
    let Ok(mask) = filled(cell)?.parse::<Ipv4Addr>() else {
        return Err(wrong("is not a netmask", example));
    };
    let bits = mask.to_bits();
    if bits == 0 {
        return Err(wrong("covers every address", example));
    }
    if bits.leading_ones() + bits.trailing_zeros() != 32 {
        return Err(wrong("is not a netmask: its ones are not contiguous", example));
    }
    Ok(u8::try_from(bits.leading_ones()).unwrap_or(32))
}

fn nameservers(cell: &str) -> Result<Vec<Ipv4Addr>, Wrong> {
    filled(cell)?
        .split('|')
        .map(|item| {
            ipv4(item.trim()).map_err(|(reason, next_step)| {
                (
                    format!("name server {:?} {reason}", item.trim()),
                    format!("{next_step}; put '|' between several"),
                )
            })
        })
        .collect()
}

fn mac(cell: &str) -> Result<Mac, Wrong> {
    let mac: Mac = filled(cell)?.parse().map_err(|_| {
        wrong(
            "is not a MAC address of six bytes",
            "write it as 52:54:00:12:34:56 (dashes and dots are fine too)",
        )
    })?;
    let octets = mac.octets();
    if octets == [0; 6] || octets[0] & 1 == 1 {
        return Err(wrong(
            "no NIC can have this address",
            "write the address of the NIC that boots",
        ));
    }
    Ok(mac)
}

fn disk(cell: &str) -> Result<String, Wrong> {
    let cell = filled(cell)?;
    let name: DiskName = cell
        .parse()
        .map_err(|error: DiskNameError| wrong(error.to_string(), error.next_step()))?;
    match name.partition() {
        None => Ok(cell.to_owned()),
        Some(_) => Err(wrong(
            "is a partition, and an installation writes a whole disk",
            format!("write {}", name.disk()),
        )),
    }
}

fn vlan(cell: &str) -> Result<Option<u16>, Wrong> {
    if cell.is_empty() {
        return Ok(None);
    }
    match cell.parse::<u16>() {
        Ok(id @ 1..=4094) => Ok(Some(id)),
        _ => Err(wrong(
            "is not a VLAN",
            "write a number from 1 to 4094 or leave it empty",
        )),
    }
}

fn port(cell: &str) -> Result<Option<u16>, Wrong> {
    if cell.is_empty() {
        return Ok(None);
    }
    match cell.parse::<u16>() {
        Ok(port @ 1..) => Ok(Some(port)),
        _ => Err(wrong(
            "is not a port",
            "write a number from 1 to 65535, or leave it empty for the protocol's own",
        )),
    }
}

/// The protocols to try, in order.
fn protocols(cell: &str) -> Result<Vec<BmcProtocol>, Wrong> {
    let mut found = Vec::new();
    for name in cell.split('|').map(str::trim).filter(|_| !cell.is_empty()) {
        let protocol = match name {
            "redfish" => BmcProtocol::Redfish,
            "ipmi" => BmcProtocol::Ipmi,
            _ => {
                return Err(wrong(
                    format!("{name:?} is no protocol of BMCs that is known"),
                    "write redfish, ipmi, or redfish|ipmi to try both in this order",
                ));
            }
        };
        if found.contains(&protocol) {
            return Err(wrong(format!("{name} stands twice"), "write each protocol once"));
        }
        found.push(protocol);
    }
    Ok(found)
}

/// `key=value` with `|` between them; of a key that stands twice the last counts, as in EKS Anywhere.
fn labels(cell: &str) -> Result<BTreeMap<String, String>, Wrong> {
    let mut labels = BTreeMap::new();
    if cell.is_empty() {
        return Ok(labels);
    }
    for pair in cell.split('|') {
        let pair = pair.trim();
        let Some((key, value)) = pair.split_once('=') else {
            return Err(wrong(
                format!("label {pair:?} has no '='"),
                "write key=value and put '|' between several",
            ));
        };
        let (key, value) = (key.trim(), value.trim());
        if !label_key(key) {
            return Err(wrong(
                format!("label key {key:?} is not valid"),
                "use at most 63 letters, digits, '-', '_' and '.', after an optional DNS prefix and '/'",
            ));
        }
        if !label_value(value) {
            return Err(wrong(
                format!("label value {value:?} is not valid"),
                "use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
            ));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

fn label_name(text: &str) -> bool {
    let inner = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let outer = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_alphanumeric);
    let octets = text.as_bytes();
    octets.len() <= 63 && text.bytes().all(inner) && outer(octets.first()) && outer(octets.last())
}

fn label_value(text: &str) -> bool {
    text.is_empty() || label_name(text)
}

fn label_key(text: &str) -> bool {
    match text.split_once('/') {
        None => label_name(text),
        Some((prefix, name)) => {
            let part = |part: &str| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|o| o.is_ascii_lowercase() || o.is_ascii_digit() || o == b'-')
                    && !part.starts_with('-')
                    && !part.ends_with('-')
            };
            label_name(name) && prefix.len() <= 253 && prefix.split('.').all(part)
        }
    }
}
