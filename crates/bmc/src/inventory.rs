//! What a BMC tells about its machine. Evidence, never authority: nothing is authorised by it.

use resources::Mac;

/// Identity and the parts that matter for finding the machine; a field that the BMC does not give is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// SMBIOS UUID, lower case.
    pub uuid: Option<String>,
    pub serial: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub firmware_version: Option<String>,
    pub nics: Vec<Nic>,
}

/// One host network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// The BMC's own name of the interface.
    pub id: String,
    pub mac: Mac,
}
