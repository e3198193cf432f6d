//! The creation of a machine: its container is made, gets its seed, and is started.

use bytes::Bytes;
use driver::Fault;
use driver::v1::{MachineStatus, Owner, Phase, Reason, Spec};

use crate::daemon::{Container, Daemon, Made, Reached, State};
use crate::find::{Found, find, foreign};
use crate::images::{Images, UnderWay};
use crate::machine::{Machine, only};
use crate::scope::{ImagePolicy, ScopeConfig};
use crate::status;

/// What a call for a machine brings.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) spec: &'a Spec,
    pub(crate) spec_hash: &'a str,
    pub(crate) scope: &'a ScopeConfig,
}

/// How far the creation of a container is.
#[derive(Debug)]
pub(crate) enum Creation {
    /// It is there.
    There(Box<Container>),
    /// Its image is pulled first.
    Pulling(UnderWay),
}

impl Wanted<'_> {
    /// Has the container be there.
    pub(crate) async fn container(&self, daemon: &Daemon, images: &Images) -> Result<Creation, Fault> {
        let machine = Machine::read(self.spec, "/spec")?;
        if let Some(container) = find(daemon, self.owner).await?.ours(self.owner)? {
            return Ok(Creation::There(container));
        }
        let (name, field) = machine.network(self.scope);
        // The daemon itself misses a network only when it starts the container.
        let network = only(daemon.networks_named(name).await?, name).map_err(|(reason, text)| {
            let mut fault = Fault::new(reason, text).without_effect();
            field.clone_into(&mut fault.detail.field);
            fault
        })?;
        let body = machine.body((self.owner, self.spec_hash), self.scope, &network, daemon.api())?;
        if self.scope.image_policy == ImagePolicy::Pull
            && let Some(pulling) = images.pulled(daemon, &self.spec.image_ref).await?
        {
            return Ok(Creation::Pulling(pulling));
        }
        let made = daemon.create(&self.owner.machine_name, &body).await?;
        match find(daemon, self.owner).await? {
            Found::Ours(container) => Ok(Creation::There(container)),
            // Somebody was faster, and is a stranger.
            Found::Foreign => Err(foreign(self.owner)),
            Found::Nothing => Err(match made {
                Made::Done => Fault::new(Reason::Busy, "the container came and went"),
                Made::NameTaken => Fault::new(Reason::Busy, "the name of the container is being freed"),
            }),
        }
    }
}

/// The answer while the image is pulled.
pub(crate) fn pulling(owner: &Owner, image: &str, under_way: UnderWay) -> MachineStatus {
    let UnderWay { since, done, total } = under_way;
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or_default();
    let waiting = MachineStatus {
        phase: Phase::Pending.into(),
        step: "pull-image".to_owned(),
        step_since: Some(since.into()),
        step_reason: format!("the daemon pulls {image}"),
        percent: u32::try_from(percent).unwrap_or_default().min(100),
        ..status::absent(owner, Phase::Pending)
    };
    status::towards(waiting, Phase::Running)
}

/// Has a container run. One that was never started gets its seed first; without a seed it is left as it is.
pub(crate) async fn start(daemon: &Daemon, container: &Container, seed: Option<Bytes>) -> Result<(), Fault> {
    let id = container.id.as_str();
    let reached = match (container.state, seed) {
        (State::Created, Some(seed)) => match daemon.unpack(id, seed).await? {
            Reached::Done => daemon.start(id).await?,
            other => other,
        },
        (State::Created, None) => {
            let text = "the machine is not made yet: CreateMachine hands over its user data and starts it";
            return Err(Fault::new(Reason::Busy, text).without_effect());
        }
        (State::Exited, _) => daemon.start(id).await?,
        (State::Paused, _) => daemon.unpause(id).await?,
        (State::Removing | State::Dead, _) => Reached::Busy,
        (State::Running | State::Restarting | State::Unknown, _) => Reached::Done,
    };
    match reached {
        Reached::Done => Ok(()),
        Reached::Missing => Err(Fault::new(
            Reason::Busy,
            "the container, or the network that it is in, has gone meanwhile",
        )),
        Reached::Busy => Err(Fault::new(
            Reason::Busy,
            format!("the Docker daemon works on the container: {}", container.status),
        )),
    }
}

/// The state of a machine after something was done, on the way to a phase.
pub(crate) async fn look(daemon: &Daemon, owner: &Owner, aim: Phase) -> Result<MachineStatus, Fault> {
    Ok(match find(daemon, owner).await? {
        Found::Ours(container) => status::towards(status::of(&container), aim),
        Found::Foreign => return Err(foreign(owner)),
        Found::Nothing if aim == Phase::Deleted => status::absent(owner, Phase::Deleted),
        Found::Nothing => return Err(Fault::new(Reason::Busy, "the container has gone meanwhile")),
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use driver::v1::{Owner, Phase, outcome};

    use super::pulling;
    use crate::images::UnderWay;

    #[test]
    fn a_pull_is_a_step_that_a_person_can_follow() {
        for (done, total, wanted) in [(0, 0, 0), (1, 4, 25), (9, 4, 100)] {
            let under_way = UnderWay {
                since: SystemTime::UNIX_EPOCH,
                done,
                total,
            };
            let status = pulling(&Owner::default(), "node:v1", under_way);
            assert_eq!((status.phase(), status.percent), (Phase::Pending, wanted));
            assert!(status.step_reason.contains("node:v1") && status.step_since.is_some());
            let outcome = status.outcome.unwrap().outcome;
            assert!(matches!(outcome, Some(outcome::Outcome::Accepted(_))));
        }
    }
}
