//! What every call passes before it reaches the provider: draining, capabilities, whose machine it is, schemas, limits, the
//! fence. Nothing here has an effect at the provider.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use regex::Regex;
use tokio::sync::Notify;
use tonic::Code;

use super::fences::Fences;
use super::provider::Schemas;
use super::schemas::Compiled;
use crate::fault::Fault;
use crate::v1::{Capability, GetInfoResponse, Owner, Reason, Scope, Spec};

/// What calls are checked against.
#[derive(Debug)]
pub(super) struct Admission {
    info: GetInfoResponse,
    capabilities: BTreeSet<i32>,
    name: Option<Regex>,
    schemas: Compiled,
    fences: Fences,
    draining: AtomicBool,
    calls: AtomicU32,
    call_ended: Notify,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Admission);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
        self.0.call_ended.notify_waiters();
    }
}

impl Admission {
    /// # Errors
    /// What of the driver's own description is wrong, for its author.
    pub(super) fn new(schemas: &Schemas, info: GetInfoResponse) -> Result<Self, String> {
        let pattern = info.limits.as_ref().map(|limits| limits.name_regex.as_str());
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        let name = pattern.map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
        Ok(Self {
            capabilities: info.capabilities.iter().copied().collect(),
            name: name
                .transpose()
                .map_err(|error| format!("limits.name_regex: {error}"))?,
            schemas: Compiled::new(schemas)?,
            fences: Fences::default(),
            draining: AtomicBool::new(false),
            calls: AtomicU32::new(0),
            call_ended: Notify::new(),
            info,
        })
    }

    pub(super) const fn schemas(&self) -> &Compiled {
        &self.schemas
    }

    /// Begins a call, unless the driver drains.
    pub(super) fn begin(&self) -> Result<UnderWay<'_>, Fault> {
        // Counted first, so that a drain that begins now sees it.
        self.calls.fetch_add(1, Ordering::AcqRel);
        let call = UnderWay(self);
        if self.draining.load(Ordering::Acquire) {
            return Err(
                Fault::new(Reason::Draining, "the driver ends and takes no more calls").without_effect(),
            );
        }
        Ok(call)
    }

    /// Takes no more calls, and waits until there are none. The caller limits the wait.
    pub(super) async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        loop {
            let ended = self.call_ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.calls() == 0 {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Acquire)
    }

    pub(super) fn require(&self, capability: Capability, call: &str) -> Result<(), Fault> {
        if self.has(capability) {
            return Ok(());
        }
        let message = format!(
            "{call} needs {}, which this driver does not have",
            capability.as_str_name()
        );
        let mut fault = Fault::new(Reason::InvalidSpec, message).without_effect();
        fault.code = Code::Unimplemented;
        Err(fault)
    }

    pub(super) fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&i32::from(capability))
    }

    /// Scope and secrets fit the schemas.
    pub(super) fn scope(&self, scope: Option<&Scope>) -> Result<(), Fault> {
        let scope = scope.ok_or_else(|| Fault::invalid("/scope", "the scope is missing"))?;
        self.schemas.scope(scope.config.as_ref())?;
        self.schemas.secrets(&scope.secrets)
    }

    /// The owner is complete; `machine` says whether it must be that of a machine.
    pub(super) fn owner<'a>(&self, owner: Option<&'a Owner>, machine: bool) -> Result<&'a Owner, Fault> {
        let owner = owner.ok_or_else(|| Fault::invalid("/owner", "the owner is missing"))?;
        let mut wanted = vec![("installation_id", &owner.installation_id)];
        if machine {
            wanted.push(("cluster_uid", &owner.cluster_uid));
            wanted.push(("machine_uid", &owner.machine_uid));
        }
        match wanted.into_iter().find(|(_, value)| value.is_empty()) {
            Some((field, _)) => Err(Fault::invalid(
                format!("/owner/{field}"),
                format!("{field} is empty"),
            )),
            None => Ok(owner),
        }
    }

    /// As [`Self::owner`], for a call that changes something.
    pub(super) fn fenced(&self, owner: Option<&Owner>, machine: bool) -> Result<(), Fault> {
        self.fences.pass(self.owner(owner, machine)?)
    }

    /// The name is one that the provider takes.
    pub(super) fn name(&self, owner: Option<&Owner>) -> Result<(), Fault> {
        let name = owner.map(|owner| owner.machine_name.as_str()).unwrap_or_default();
        let longest = self.info.limits.as_ref().map_or(0, |limits| limits.max_name_len);
        let length = name.chars().count();
        let refuse = |message: String| Err(Fault::invalid("/owner/machine_name", message));
        if name.is_empty() {
            return refuse("the machine has no name".to_owned());
        }
        if longest > 0 && u32::try_from(length).unwrap_or(u32::MAX) > longest {
            return refuse(format!(
                "name {name} has {length} characters and may have {longest}"
            ));
        }
        match &self.name {
            Some(pattern) if !pattern.is_match(name) => {
                refuse(format!("name {name} does not match {}", pattern.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// The spec fits schema, capabilities and limits. `prefix` is its place in the request.
    pub(super) fn spec(&self, prefix: &str, spec: Option<&Spec>) -> Result<(), Fault> {
        let spec = spec.ok_or_else(|| Fault::invalid(prefix, "the spec is missing"))?;
        let uses = [
            ("nics", Capability::MultiNic, spec.nics.len() > 1),
            (
                "nics",
                Capability::StaticIps,
                spec.nics.iter().any(|nic| !nic.addresses.is_empty()),
            ),
            ("disks", Capability::DataDisks, !spec.disks.is_empty()),
            (
                "failure_domain",
                Capability::FailureDomains,
                !spec.failure_domain.is_empty(),
            ),
            (
                "affinity_keys",
                Capability::Affinity,
                !spec.affinity_keys.is_empty(),
            ),
        ];
        for (field, capability, used) in uses {
            if used && !self.has(capability) {
                let message = format!(
                    "it needs {}, which this driver does not have",
                    capability.as_str_name()
                );
                return Err(Fault::invalid(format!("{prefix}/{field}"), message));
            }
        }
        self.userdata(prefix, spec)?;
        self.schemas.machine(prefix, spec.provider.as_ref())
    }

    fn userdata(&self, prefix: &str, spec: &Spec) -> Result<(), Fault> {
        let (Some(userdata), Some(limits)) = (&spec.userdata, &self.info.limits) else {
            return Ok(());
        };
        let length = u32::try_from(userdata.data.len()).unwrap_or(u32::MAX);
        if length > limits.max_userdata_bytes {
            let message = format!(
                "the user data has {length} bytes and may have {}",
                limits.max_userdata_bytes
            );
            return Err(Fault::invalid(format!("{prefix}/userdata/data"), message));
        }
        if !limits.formats.contains(&userdata.format) {
            let message = format!("machines do not understand {}", userdata.format().as_str_name());
            return Err(Fault::invalid(format!("{prefix}/userdata/format"), message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
