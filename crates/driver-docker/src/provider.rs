//! The calls of the contract.

use driver::Fault;
use driver::sdk::{Pages, Provider, Schemas};
use driver::v1::{
    Capability, CheckItem, CheckScopeRequest, CreateMachineRequest, DeleteGroupRequest, DeleteMachineRequest,
    EnsureGroupRequest, EnsureImageRequest, GetInfoResponse, GetMachineRequest, GroupStatus, ImageStatus,
    Limits, ListMachinesRequest, MachineStatus, Owner, Phase, Power, Reason, Scope, SetPowerRequest,
    UserdataFormat,
};

use crate::creation::{Creation, Wanted, look, pulling, start};
use crate::daemon::{Container, Daemon, Reached, State, Versions};
use crate::find::{Found, find};
use crate::images::Images;
use crate::marks::{CLUSTER_UID, INSTALLATION};
use crate::scope::ScopeConfig;
use crate::turns::Turns;
use crate::{check, groups, marks, schemas, seed, status};

/// Names of machines: host names, and so names of containers too.
const NAME: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LONGEST_NAME: u32 = 63;
/// Docker has no limit; this is far below that of a call.
const MOST_USERDATA: u32 = 1 << 20;
/// More at once make a daemon slower and not faster.
const PARALLEL_CREATES: u32 = 8;

/// A driver for Docker daemons.
#[derive(Debug, Default)]
pub struct DockerDriver {
    versions: Versions,
    turns: Turns,
    images: Images,
}

impl DockerDriver {
    async fn open(&self, scope: Option<&Scope>) -> Result<(ScopeConfig, Daemon), Fault> {
        let config = ScopeConfig::read(scope)?;
        let daemon = Daemon::open(&config.socket(), &self.versions).await?;
        Ok((config, daemon))
    }
}

/// An owner that the call has.
fn owner(owner: Option<&Owner>) -> Result<&Owner, Fault> {
    owner.ok_or_else(|| Fault::invalid("/owner", "the owner is missing"))
}

/// Whose turn it is with a machine.
fn machine_key(owner: &Owner) -> String {
    format!("{} {}", owner.installation_id, owner.machine_uid)
}

#[tonic::async_trait]
impl Provider for DockerDriver {
    fn info(&self) -> GetInfoResponse {
        GetInfoResponse {
            name: "docker".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            title: "Docker".to_owned(),
            capabilities: [
                Capability::AtomicOwnership,
                Capability::Groups,
                Capability::GroupNetwork,
                Capability::ImageImport,
                Capability::PowerControl,
                Capability::StaticIps,
            ]
            .map(Into::into)
            .to_vec(),
            limits: Some(Limits {
                max_userdata_bytes: MOST_USERDATA,
                formats: vec![UserdataFormat::CloudConfig.into(), UserdataFormat::Raw.into()],
                max_name_len: LONGEST_NAME,
                name_regex: NAME.to_owned(),
                max_parallel_creates: PARALLEL_CREATES,
                list_lag_seconds: 0,
            }),
            provider_id_scheme: "docker".to_owned(),
            state_version: 1,
            ..GetInfoResponse::default()
        }
    }

    fn schemas(&self) -> Schemas {
        schemas::all()
    }

    async fn check_scope(&self, request: CheckScopeRequest) -> Result<Vec<CheckItem>, Fault> {
        let config = ScopeConfig::read(request.scope.as_ref())?;
        let findings = match Daemon::open(&config.socket(), &self.versions).await {
            Ok(daemon) => check::check(&daemon, &config, &request).await?,
            Err(fault) => check::unreachable(&config.socket(), &fault),
        };
        Ok(findings.into_items())
    }

    async fn create_machine(&self, request: CreateMachineRequest) -> Result<MachineStatus, Fault> {
        let owner = owner(request.owner.as_ref())?;
        let spec = request.spec.as_ref();
        let spec = spec.ok_or_else(|| Fault::invalid("/spec", "the spec is missing"))?;
        let seed = seed::archive(owner, spec.userdata.as_ref())
            .map_err(|error| Fault::new(Reason::Bug, format!("the seed: {error}")).without_effect())?;
        let _turn = self.turns.take(&machine_key(owner)).await;
        let (scope, daemon) = self.open(request.scope.as_ref()).await?;
        let wanted = Wanted {
            owner,
            spec,
            spec_hash: &request.spec_hash,
            scope: &scope,
        };
        let container = match wanted.container(&daemon, &self.images).await? {
            Creation::There(container) => container,
            Creation::Pulling(under_way) => return Ok(pulling(owner, &spec.image_ref, under_way)),
        };
        let status = status::of(&container);
        if status.spec_hash != request.spec_hash {
            let text = format!("container {} exists with another spec", container.name());
            return Err(Fault::new(Reason::ConflictSpec, text).without_effect());
        }
        if status.phase() == Phase::Running {
            return Ok(status);
        }
        start(&daemon, &container, Some(seed)).await?;
        look(&daemon, owner, Phase::Running).await
    }

    async fn get_machine(&self, request: GetMachineRequest) -> Result<MachineStatus, Fault> {
        let owner = owner(request.owner.as_ref())?;
        let (_, daemon) = self.open(request.scope.as_ref()).await?;
        Ok(match find(&daemon, owner).await? {
            Found::Ours(container) => status::of(&container),
            Found::Foreign | Found::Nothing => status::absent(owner, Phase::Absent),
        })
    }

    async fn list_machines(&self, request: ListMachinesRequest, pages: &mut Pages) -> Result<(), Fault> {
        let owner = owner(request.owner.as_ref())?;
        let (_, daemon) = self.open(request.scope.as_ref()).await?;
        let mut labels = vec![format!("{INSTALLATION}={}", owner.installation_id)];
        if !owner.cluster_uid.is_empty() {
            labels.push(format!("{CLUSTER_UID}={}", owner.cluster_uid));
        }
        let marked = daemon.labelled(&labels).await?;
        let marked = marked
            .iter()
            .filter(|container| marks::read(&container.labels).is_some());
        let mut machines: Vec<MachineStatus> = marked.map(status::of).collect();
        if request.include_candidates {
            machines.extend(
                daemon
                    .all()
                    .await?
                    .iter()
                    .filter(|container| is_candidate(container))
                    .map(status::of),
            );
        }
        pages.send(machines).await
    }

    async fn set_power(&self, request: SetPowerRequest) -> Result<MachineStatus, Fault> {
        let owner = owner(request.owner.as_ref())?;
        let _turn = self.turns.take(&machine_key(owner)).await;
        let (_, daemon) = self.open(request.scope.as_ref()).await?;
        let Some(container) = find(&daemon, owner).await?.ours(owner)? else {
            return Ok(status::absent(owner, Phase::Absent));
        };
        let aim = match request.power() {
            Power::On => {
                start(&daemon, &container, None).await?;
                Phase::Running
            }
            Power::Off => {
                switch_off(&daemon, &container, request.graceful).await?;
                Phase::Stopped
            }
            Power::Reset if is_on(&container) => {
                done(daemon.restart(&container.id, request.graceful).await?, &container)?;
                Phase::Running
            }
            Power::Reset => {
                start(&daemon, &container, None).await?;
                Phase::Running
            }
            Power::Unspecified => return Err(Fault::invalid("/power", "power is ON, OFF or RESET")),
        };
        look(&daemon, owner, aim).await
    }

    async fn delete_machine(&self, request: DeleteMachineRequest) -> Result<MachineStatus, Fault> {
        let owner = owner(request.owner.as_ref())?;
        let _turn = self.turns.take(&machine_key(owner)).await;
        let (_, daemon) = self.open(request.scope.as_ref()).await?;
        let Some(container) = find(&daemon, owner).await?.ours(owner)? else {
            return Ok(status::absent(owner, Phase::Deleted));
        };
        if !request.force && is_on(&container) {
            // What does not stop is removed all the same.
            daemon.stop(&container.id).await?;
        }
        // Whatever it answers, what is there afterwards counts.
        daemon.remove(&container.id).await?;
        look(&daemon, owner, Phase::Deleted).await
    }

    async fn ensure_image(&self, request: EnsureImageRequest) -> Result<ImageStatus, Fault> {
        let (_, daemon) = self.open(request.scope.as_ref()).await?;
        self.images.ensure(&daemon, &request).await
    }

    async fn ensure_group(&self, request: EnsureGroupRequest) -> Result<GroupStatus, Fault> {
        let _turn = self.turns.take(&group_key(request.owner.as_ref())).await;
        let (_, daemon) = self.open(request.scope.as_ref()).await?;
        groups::ensure(&daemon, &request).await
    }

    async fn delete_group(&self, request: DeleteGroupRequest) -> Result<GroupStatus, Fault> {
        let _turn = self.turns.take(&group_key(request.owner.as_ref())).await;
        let (_, daemon) = self.open(request.scope.as_ref()).await?;
        groups::delete(&daemon, &request).await
    }

    async fn close(&self) {
        self.images.close();
    }
}

/// Whose turn it is with what the machines of a cluster share.
fn group_key(owner: Option<&Owner>) -> String {
    let cluster = owner.map(|owner| format!("{} {}", owner.installation_id, owner.cluster_uid));
    format!("group {}", cluster.unwrap_or_default())
}

fn is_on(container: &Container) -> bool {
    matches!(
        container.state,
        State::Running | State::Restarting | State::Paused
    )
}

/// One without a mark, whose name a machine could have.
fn is_candidate(container: &Container) -> bool {
    let name = container.name().as_bytes();
    let is_label = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let ends = [name.first(), name.last()];
    let is_name = !name.is_empty() && name.iter().all(is_label) && !ends.contains(&Some(&b'-'));
    is_name && !container.labels.contains_key(INSTALLATION)
}

async fn switch_off(daemon: &Daemon, container: &Container, graceful: bool) -> Result<(), Fault> {
    if !is_on(container) {
        return Ok(());
    }
    let reached = if graceful {
        daemon.stop(&container.id).await?
    } else {
        daemon.kill(&container.id).await?
    };
    match reached {
        // It has ended by itself meanwhile.
        Reached::Busy if !graceful => Ok(()),
        reached => done(reached, container),
    }
}

fn done(reached: Reached, container: &Container) -> Result<(), Fault> {
    let text = match reached {
        Reached::Done => return Ok(()),
        Reached::Missing => "it has gone meanwhile".to_owned(),
        Reached::Busy => format!("the Docker daemon works on it: {}", container.status),
    };
    Err(Fault::new(
        Reason::Busy,
        format!("container {}: {text}", container.name()),
    ))
}
