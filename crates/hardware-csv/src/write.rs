//! Rows back to CSV. The text holds BMC passwords: it is for a file that only its owner reads.

use crate::columns::Column;
use crate::error::Error;
use crate::row::Row;

/// The file of these rows, in the order in which EKS Anywhere documents the columns. Port and protocols of BMCs are left
/// out where no row has them, because other readers may not know these columns.
///
/// # Errors
/// When a record cannot be encoded.
pub fn write(rows: &[Row]) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |hostname: &str| {
        let hostname = hostname.to_owned();
        move |source| Error::Csv { hostname, source }
    };
    let columns: Vec<Column> = Column::ALL
        .into_iter()
        .filter(|column| !column.is_extra() || rows.iter().any(|row| !cell(row, *column).is_empty()))
        .collect();
    writer
        .write_record(columns.iter().copied().map(Column::name))
        .map_err(failed("the header"))?;
    for row in rows {
        writer
            .write_record(columns.iter().map(|column| cell(row, *column)))
            .map_err(failed(&row.hostname))?;
    }
    writer
        .into_inner()
        .map_err(|error| failed("the last machine")(csv::Error::from(error.into_error())))
}

fn cell(row: &Row, column: Column) -> String {
    let bmc = row.bmc.as_ref();
    match column {
        Column::Hostname => row.hostname.clone(),
        Column::BmcIp => bmc.map(|bmc| bmc.ip.to_string()).unwrap_or_default(),
        Column::BmcUsername => bmc.map(|bmc| bmc.username.clone()).unwrap_or_default(),
        Column::BmcPassword => bmc.map(|bmc| bmc.password.reveal().clone()).unwrap_or_default(),
        Column::BmcPort => bmc
            .and_then(|bmc| bmc.port)
            .map(|port| port.to_string())
            .unwrap_or_default(),
        Column::BmcProtocol => bmc
            .map(|bmc| {
                bmc.protocols
                    .iter()
                    .map(|protocol| protocol.to_string().to_lowercase())
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .unwrap_or_default(),
        Column::Mac => row.mac.to_string(),
        Column::IpAddress => row.ip.to_string(),
        Column::Netmask => row.netmask().to_string(),
        Column::Gateway => row.gateway.to_string(),
        Column::Nameservers => row
            .nameservers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("|"),
        Column::Labels => row
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join("|"),
        Column::Disk => row.disk.clone(),
        Column::VlanId => row.vlan.map(|id| id.to_string()).unwrap_or_default(),
    }
}
