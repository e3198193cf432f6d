//! The columns of hardware.csv and where they stand in one file.

/// A column that has a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Name of the machine and of its objects.
    Hostname,
    /// Address of the BMC.
    BmcIp,
    /// User at the BMC.
    BmcUsername,
    /// Password at the BMC.
    BmcPassword,
    /// Port of the BMC.
    BmcPort,
    /// Protocols to speak with the BMC, with `|` between them.
    BmcProtocol,
    /// Address of the NIC that boots.
    Mac,
    /// Address in the provisioning network.
    IpAddress,
    /// Its netmask, dotted.
    Netmask,
    /// Default gateway.
    Gateway,
    /// Name servers with `|` between them.
    Nameservers,
    /// `key=value` with `|` between them.
    Labels,
    /// Disk to install on.
    Disk,
    /// VLAN of the installed system.
    VlanId,
}

impl Column {
    /// In the order in which EKS Anywhere documents and this crate writes them.
    pub(crate) const ALL: [Self; 14] = [
        Self::Hostname,
        Self::BmcIp,
        Self::BmcUsername,
        Self::BmcPassword,
        Self::BmcPort,
        Self::BmcProtocol,
        Self::Mac,
        Self::IpAddress,
        Self::Netmask,
        Self::Gateway,
        Self::Nameservers,
        Self::Labels,
        Self::Disk,
        Self::VlanId,
    ];

    /// As the header spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hostname => "hostname",
            Self::BmcIp => "bmc_ip",
            Self::BmcUsername => "bmc_username",
            Self::BmcPassword => "bmc_password",
            Self::BmcPort => "bmc_port",
            Self::BmcProtocol => "bmc_protocol",
            Self::Mac => "mac",
            Self::IpAddress => "ip_address",
            Self::Netmask => "netmask",
            Self::Gateway => "gateway",
            Self::Nameservers => "nameservers",
            Self::Labels => "labels",
            Self::Disk => "disk",
            Self::VlanId => "vlan_id",
        }
    }

    /// Whether it is written only where it says something.
    pub(crate) const fn is_extra(self) -> bool {
        matches!(self, Self::BmcPort | Self::BmcProtocol)
    }

    /// Whether a file without it is refused.
    const fn required(self) -> bool {
        !matches!(
            self,
            Self::BmcIp
                | Self::BmcUsername
                | Self::BmcPassword
                | Self::BmcPort
                | Self::BmcProtocol
                | Self::VlanId
        )
    }
}

/// Where each column stands.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    places: Vec<(Column, usize)>,
    /// Fields of the header.
    pub(crate) width: usize,
}

/// What is wrong with a header.
#[derive(Debug)]
pub(crate) enum HeaderFault {
    /// Required columns that are missing.
    Missing(Vec<&'static str>),
    /// A column that stands twice, with its second number.
    Twice(Column, usize),
}

impl Header {
    /// Finds the columns; unknown names are passed over.
    pub(crate) fn read(names: &[String]) -> Result<Self, Vec<HeaderFault>> {
        let mut faults = Vec::new();
        let mut places: Vec<(Column, usize)> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let Some(column) = Column::ALL
                .into_iter()
                .find(|column| column.name() == name.trim())
            else {
                continue;
            };
            if places.iter().any(|(known, _)| *known == column) {
                faults.push(HeaderFault::Twice(column, at + 1));
            } else {
                places.push((column, at));
            }
        }
        let missing: Vec<&'static str> = Column::ALL
            .into_iter()
            .filter(|column| column.required() && !places.iter().any(|(known, _)| known == column))
            .map(Column::name)
            .collect();
        if !missing.is_empty() {
            faults.push(HeaderFault::Missing(missing));
        }
        if faults.is_empty() {
            Ok(Self {
                places,
                width: names.len(),
            })
        } else {
            Err(faults)
        }
    }

    /// Number of a column, from 1; 0 when the file lacks it.
    pub(crate) fn number(&self, column: Column) -> usize {
        self.places
            .iter()
            .find(|(known, _)| *known == column)
            .map_or(0, |(_, at)| at + 1)
    }

    /// The cell of a column; empty when the file lacks it.
    pub(crate) fn cell<'a>(&self, fields: &'a [String], column: Column) -> &'a str {
        match self.number(column) {
            0 => "",
            number => fields.get(number - 1).map_or("", String::as_str),
        }
    }
}
