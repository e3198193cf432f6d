//! What the BMC says of a claim, before its session changes ([`crate::sessions::Proof`] compares the two).

use kube::ResourceExt as _;
use resources::bmc::{BmcInventory, Machine};
use resources::gantry::Server;
use tonic::Status;

use super::gate::{Objection, Shown};
use super::{RETRY, SessionsService};
use crate::alarms::Alarm;
use crate::sessions::{Admission, admission, is_required, proof};

impl SessionsService {
    /// By what the BMC confirmed the claimant, if it did, or what speaks against the claim.
    pub(super) async fn out_of_band(
        &self,
        server: &Server,
        shown: &Shown,
    ) -> Result<Result<Option<String>, Objection>, Status> {
        let (Some(bmc), Some(inventory)) = (&server.spec.bmc, &shown.inventory) else {
            return Ok(Ok(None));
        };
        let namespace = server.namespace().unwrap_or_default();
        let machine = self.read::<Machine>(&namespace, bmc, server).await?;
        let known = machine.as_ref().and_then(BmcInventory::of);
        let required = is_required(&server.spec, self.context.control_plane_proof);
        let object = |alarm, reason: String, answer: &str| Objection {
            alarm,
            reason,
            answer: answer.to_owned(),
            refused_for: Some(RETRY),
        };
        Ok(match admission(proof(inventory, known.as_ref()), required) {
            Admission::Admit(by) => Ok(by),
            Admission::Mismatch(reason) => Err(object(
                Alarm::OutOfBandMismatch,
                reason,
                "this is not the machine behind its BMC; its Server's Events say more",
            )),
            Admission::Unproven(reason) => Err(object(
                Alarm::OutOfBandMissing,
                reason,
                "this machine must be confirmed by its BMC, which has not happened; its Server's Events say more",
            )),
        })
    }
}
