//! What the BMC of one server said.

use resources::bmc::BmcReport;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) server: String,
    #[serde(flatten)]
    pub(super) report: BmcReport,
}
