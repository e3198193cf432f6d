//! The reference driver: the provider's API behind the contract.

mod objects;
mod status;

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use driver::Fault;
use driver::sdk::{Context, Pages, Provider, Schemas};
use driver::v1::{
    Capability, CheckItem, CheckResult, CheckScopeRequest, CreateMachineRequest, DeleteMachineRequest,
    GetInfoResponse, GetMachineRequest, Limits, ListMachinesRequest, MachineStatus, Owner, Phase, Power,
    Reason, Scope, SetPowerRequest, UserdataFormat,
};
use serde_json::json;

use crate::Breach;
use crate::memory::{NewObject, Object, ObjectPower};
use objects::Api;

/// A driver for [`crate::MemoryProvider`].
#[derive(Debug)]
pub struct MemoryDriver {
    name: &'static str,
    breach: Option<Breach>,
    sessions: objects::Sessions,
    asked: AtomicU32,
}

impl MemoryDriver {
    /// One that keeps the contract, or breaks it in one way.
    #[must_use]
    pub fn new(breach: Option<Breach>, _: &Context) -> Self {
        Self {
            name: "memory",
            breach,
            sessions: objects::Sessions::default(),
            asked: AtomicU32::new(0),
        }
    }

    /// The same under the name of another driver, whose clusters it makes.
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    fn breaks(&self, breach: Breach) -> bool {
        self.breach == Some(breach)
    }

    async fn api<'a>(&'a self, scope: Option<&'a Scope>) -> Result<Api<'a>, Fault> {
        let scope = scope.ok_or_else(|| Fault::invalid("/scope", "the scope is missing"))?;
        if self.breaks(Breach::LogsPassword) {
            let password = scope
                .secrets
                .get("password")
                .map(|bytes| String::from_utf8_lossy(bytes));
            log(&format!("logging in with {}", password.unwrap_or_default()));
        }
        Api::open(scope, &self.sessions).await
    }

    fn status(&self, object: &Object) -> MachineStatus {
        status::of(object, self.breaks(Breach::LocalAddresses))
    }

    /// The machine of an owner: by its mark; else, whose name it has. It may come between the two questions.
    async fn find(&self, api: &Api<'_>, owner: &Owner) -> Result<Found, Fault> {
        let ours = |object: &Object| {
            let marks = &object.made.marks;
            marks.machine == owner.machine_uid && marks.installation == owner.installation_id
        };
        let marked = api.objects(&format!("machine={}", owner.machine_uid)).await?;
        if let Some(object) = marked.into_iter().find(ours) {
            return Ok(Found::Ours(object));
        }
        let named = api.objects(&format!("name={}", owner.machine_name)).await?;
        Ok(match named.into_iter().next() {
            None => Found::Nothing,
            Some(object) if ours(&object) => Found::Ours(object),
            Some(object) => Found::Foreign(object),
        })
    }
}

/// What there is for an owner.
enum Found {
    Ours(Object),
    Foreign(Object),
    Nothing,
}

fn foreign(object: &Object) -> Fault {
    let message = format!(
        "machine {} exists and does not bear the mark of this machine",
        object.made.name
    );
    Fault::new(Reason::Foreign, message).without_effect()
}

/// A line in the log, as any program writes one.
fn log(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[tonic::async_trait]
impl Provider for MemoryDriver {
    fn info(&self) -> GetInfoResponse {
        let name = if self.breaks(Breach::OtherName) {
            "other"
        } else {
            self.name
        };
        GetInfoResponse {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            title: "Machines in memory".to_owned(),
            capabilities: vec![
                Capability::PowerControl.into(),
                Capability::AtomicOwnership.into(),
            ],
            limits: Some(Limits {
                // What makes a machine a member of a control plane is some 60 KiB.
                max_userdata_bytes: 256 << 10,
                formats: vec![UserdataFormat::CloudConfig.into(), UserdataFormat::Raw.into()],
                max_name_len: 40,
                name_regex: "[a-z]([-a-z0-9]*[a-z0-9])?".to_owned(),
                max_parallel_creates: 16,
                list_lag_seconds: 0,
            }),
            provider_id_scheme: "memory".to_owned(),
            state_version: 1,
            ..GetInfoResponse::default()
        }
    }

    fn schemas(&self) -> Schemas {
        let scope_type = if self.breaks(Breach::BadSchema) {
            "objekt"
        } else {
            "object"
        };
        Schemas {
            scope: json!({
                "type": scope_type, "title": "Where the provider is", "additionalProperties": false,
                "required": ["url", "network"],
                "properties": {
                    "url": {"type": "string", "title": "URL of the provider", "pattern": "^http://"},
                    "network": {"type": "string", "title": "Network of the machines", "x-ref": "network"},
                },
                "examples": [{"url": "http://127.0.0.1:8080", "network": "lan"}],
            }),
            secret: json!({
                "type": "object", "additionalProperties": false, "required": ["password"],
                "properties": {"password": {"type": "string", "minLength": 1, "x-secret": true}},
            }),
            machine: json!({
                "type": "object", "additionalProperties": false,
                "properties": {"tier": {"type": "string", "enum": ["plain", "fast"], "default": "plain"}},
                "examples": [{}, {"tier": "fast"}],
            }),
            image: json!({"type": "object", "additionalProperties": false}),
            identity: json!({
                "type": "object", "required": ["id"], "properties": {"id": {"type": "string"}},
            }),
            version: 1,
        }
    }

    async fn check_scope(&self, request: CheckScopeRequest) -> Result<Vec<CheckItem>, Fault> {
        let item = |id: &str, result: CheckResult, field: &str, message: String, remedy: &str| CheckItem {
            id: id.to_owned(),
            result: result.into(),
            field: field.to_owned(),
            message,
            remedy: remedy.to_owned(),
        };
        if self.breaks(Breach::ChecksNothing) {
            return Ok(vec![item("all", CheckResult::Pass, "", "fine".to_owned(), "")]);
        }
        let api = match self.api(request.scope.as_ref()).await {
            Ok(api) => api,
            Err(fault) => {
                let (field, remedy) = match fault.reason() {
                    Reason::Auth => (
                        "/scope/secrets/password",
                        "Give the password that the provider has.",
                    ),
                    _ => ("/scope/config/url", "Give the URL at which the provider answers."),
                };
                return Ok(vec![item(
                    "login",
                    CheckResult::Fail,
                    field,
                    fault.message,
                    remedy,
                )]);
            }
        };
        let mut items = vec![item("login", CheckResult::Pass, "", "logged in".to_owned(), "")];
        let network = api.exists("networks", &api.network).await?;
        items.push(if network {
            item(
                "network",
                CheckResult::Pass,
                "",
                format!("network {} exists", api.network),
                "",
            )
        } else {
            item(
                "network",
                CheckResult::Fail,
                "/scope/config/network",
                format!("there is no network {}", api.network),
                "Name a network of the provider.",
            )
        });
        for (index, spec) in request.specs.iter().enumerate() {
            let (field, image) = (format!("/specs/{index}/image_ref"), &spec.image_ref);
            items.push(if api.exists("images", image).await? {
                item(
                    "image",
                    CheckResult::Pass,
                    "",
                    format!("image {image} exists"),
                    "",
                )
            } else {
                let message = format!("there is no image {image}");
                item(
                    "image",
                    CheckResult::Fail,
                    &field,
                    message,
                    "Name an image of the provider.",
                )
            });
        }
        Ok(items)
    }

    async fn create_machine(&self, request: CreateMachineRequest) -> Result<MachineStatus, Fault> {
        if self.breaks(Breach::EndsInCall) {
            std::process::abort();
        }
        if self.breaks(Breach::WritesOn) {
            // It goes nowhere when the supervisor has gone.
            let _ = writeln!(std::io::stdout(), "making a machine");
        }
        let (Some(owner), Some(spec)) = (request.owner, request.spec) else {
            return Err(Fault::invalid("/owner", "owner and spec are missing"));
        };
        let api = self.api(request.scope.as_ref()).await?;
        let again = self.breaks(Breach::CreatesAgain) && request.driver_state.is_empty();
        let found = if again {
            Found::Nothing
        } else {
            self.find(&api, &owner).await?
        };
        let was_there = matches!(found, Found::Ours(_));
        let object = match found {
            Found::Ours(object) => object,
            Found::Foreign(object) if self.breaks(Breach::AdoptsForeign) => object,
            Found::Foreign(object) => return Err(foreign(&object)),
            Found::Nothing => {
                let mut wanted = status::wanted(&owner, spec, &request.spec_hash, &api.network);
                self.spoil(&mut wanted);
                match api.create(&wanted).await? {
                    Some(object) => object,
                    // Somebody was faster: another call for this machine, or a stranger.
                    None => match self.find(&api, &owner).await? {
                        Found::Ours(object) => object,
                        Found::Foreign(object) => return Err(foreign(&object)),
                        Found::Nothing => return Err(Fault::new(Reason::Busy, "the machine came and went")),
                    },
                }
            }
        };
        let ignores = self.breaks(Breach::IgnoresHash) || self.breaks(Breach::AdoptsForeign);
        if object.made.marks.hash != request.spec_hash && !ignores {
            let message = format!("machine {} exists with another spec", object.made.name);
            return Err(Fault::new(Reason::ConflictSpec, message).without_effect());
        }
        if self.breaks(Breach::ForgetsAfterCrash) && was_there && request.driver_state.is_empty() {
            return Err(Fault::new(Reason::ConflictName, "the machine exists already"));
        }
        if object.power == ObjectPower::Off {
            api.power(object.id, "on").await?;
        }
        let object = api.object(object.id).await?;
        let object =
            object.ok_or_else(|| Fault::new(Reason::Busy, "the machine has gone while it was made"))?;
        Ok(status::towards(self.status(&object), Phase::Running))
    }

    async fn get_machine(&self, request: GetMachineRequest) -> Result<MachineStatus, Fault> {
        let owner = request.owner.unwrap_or_default();
        let found = match self.api(request.scope.as_ref()).await {
            Ok(api) => self.find(&api, &owner).await,
            Err(fault) => Err(fault),
        };
        match found {
            Ok(Found::Ours(object)) => Ok(self.status(&object)),
            Ok(_) if self.breaks(Breach::AbsenceIsError) => {
                let mut fault = Fault::new(Reason::ImageMissing, "there is no such machine");
                fault.detail.may_have_side_effects = false;
                Err(fault)
            }
            Err(fault) if !self.breaks(Breach::AbsentOnError) => Err(fault),
            _ => Ok(status::absent(&owner, Phase::Absent)),
        }
    }

    async fn list_machines(&self, request: ListMachinesRequest, pages: &mut Pages) -> Result<(), Fault> {
        let owner = request.owner.unwrap_or_default();
        let api = self.api(request.scope.as_ref()).await?;
        let mut after = 0;
        loop {
            let page = match api.objects(&format!("after={after}")).await {
                Err(_) if self.breaks(Breach::PartialList) => return Ok(()),
                page => page?,
            };
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            let ours = |object: &&Object| {
                let marks = &object.made.marks;
                let candidate = request.include_candidates && marks.installation.is_empty();
                let ours = marks.installation == owner.installation_id
                    && (owner.cluster_uid.is_empty() || marks.cluster == owner.cluster_uid);
                ours || candidate || self.breaks(Breach::ListsAll)
            };
            let machines = page.iter().filter(ours).map(|object| self.status(object));
            pages.send(machines.collect()).await?;
        }
    }

    async fn set_power(&self, request: SetPowerRequest) -> Result<MachineStatus, Fault> {
        let power = request.power();
        let owner = request.owner.unwrap_or_default();
        let api = self.api(request.scope.as_ref()).await?;
        let object = match self.find(&api, &owner).await? {
            Found::Ours(object) => object,
            Found::Foreign(object) => return Err(foreign(&object)),
            Found::Nothing => return Ok(status::absent(&owner, Phase::Absent)),
        };
        let (steps, aim): (&[&str], Phase) = match power {
            Power::On => (&["on"], Phase::Running),
            Power::Off => (&["off"], Phase::Stopped),
            Power::Reset => (&["off", "on"], Phase::Running),
            Power::Unspecified => return Err(Fault::invalid("/power", "power is ON, OFF or RESET")),
        };
        for step in steps {
            api.power(object.id, step).await?;
        }
        match api.object(object.id).await? {
            Some(object) => Ok(status::towards(self.status(&object), aim)),
            None => Ok(status::absent(&owner, Phase::Absent)),
        }
    }

    async fn delete_machine(&self, request: DeleteMachineRequest) -> Result<MachineStatus, Fault> {
        let owner = request.owner.unwrap_or_default();
        let api = self.api(request.scope.as_ref()).await?;
        let object = match self.find(&api, &owner).await? {
            Found::Ours(object) => object,
            Found::Foreign(object) if self.breaks(Breach::DeletesForeign) => object,
            Found::Foreign(object) => return Err(foreign(&object)),
            Found::Nothing => return Ok(status::absent(&owner, Phase::Deleted)),
        };
        if !self.breaks(Breach::LeavesObjects) {
            if object.power == ObjectPower::On {
                api.power(object.id, "off").await?;
            }
            api.remove(object.id).await?;
        }
        Ok(status::absent(&owner, Phase::Deleted))
    }

    async fn close(&self) {
        if !self.breaks(Breach::LeavesSessions) {
            self.sessions.close().await;
        }
    }
}

impl MemoryDriver {
    fn spoil(&self, wanted: &mut NewObject) {
        if self.breaks(Breach::TrimsUserData) {
            wanted.userdata = wanted.userdata.trim_ascii().to_vec();
        }
        if self.breaks(Breach::CreatesAgain) {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            wanted.name = format!("{}-{}-{number}", wanted.name, std::process::id());
        }
    }
}
