//! The spoof battery: every way that we know of to get a boot id, a session, an action, first-boot data, user data or
//! another machine's state. None succeeds, each leaves a record that names the caller's address, and the machine
//! itself installs all the same.

mod cases;
mod rack;

use std::time::Duration;

use agent_protocol::ClientIdentity;
use agent_protocol::v1::sessions_client::SessionsClient;
use agent_protocol::v1::workflows_client::WorkflowsClient;
use agent_protocol::v1::{
    Action, ActionState, ClaimRequest, Disk, FirstBootRequest, Inventory, NextRequest, Nic, RenewRequest,
    ReportRequest, claim_response::Outcome, next_response::Step,
};
use resources::gantry::{Server, SessionPhase};
use tokio::time::MissedTickBehavior;
use tonic::transport::Channel;

use self::cases::{Call, Case, Shown, Stage, Try, cases};
use self::rack::{ADDRESS, MAC, Rack, hour};

/// What nobody but the machine may see.
const DATA: &str = "canary-of-the-first-boot";
const FILE: &str = "canary-of-the-snapshot";
const USER_DATA: &str = "canary-of-the-user-data";
const IMAGE_URL: &str = "http://192.0.2.1/canary-of-the-action";
const GRANTED: &str = "CERTIFICATE";
/// Calls of one host that may be recorded at once; beyond that it waits its turn.
const AT_ONCE: usize = 3;
/// Records of one source are written so often.
const PACE: Duration = Duration::from_millis(210);
/// A record is written by a task of its own.
const PATIENCE: Duration = Duration::from_secs(20);

struct Key {
    pem: String,
    csr: String,
}

impl Key {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key);
        Self {
            pem: key.serialize_pem(),
            csr: request.unwrap().pem().unwrap(),
        }
    }

    fn with(&self, certificate_pem: &str) -> ClientIdentity {
        ClientIdentity {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: self.pem.clone(),
        }
    }
}

/// The machine's way through its installation, with what it holds.
struct Install {
    rack: Rack,
    boot_id: String,
    ids: [String; 2],
    agent_key: Key,
    system_key: Key,
    agent: Option<ClientIdentity>,
    replaced: Option<ClientIdentity>,
    system: Option<ClientIdentity>,
    leave: Option<Action>,
}

/// The machine's own claim.
fn claim_of(boot_id: &str, csr: &str) -> ClaimRequest {
    let nic = Nic {
        name: "eth0".to_owned(),
        mac: MAC.to_owned(),
        ..Nic::default()
    };
    ClaimRequest {
        boot_id: boot_id.to_owned(),
        csr_pem: csr.to_owned(),
        boot_mac: MAC.to_owned(),
        inventory: Some(Inventory {
            uuid: "4c4c4544-0001".to_owned(),
            serial: "S1".to_owned(),
            nics: vec![nic],
            ..Inventory::default()
        }),
        ..ClaimRequest::default()
    }
}

/// What the machine asks for its next action with.
fn request() -> NextRequest {
    let disk = Disk {
        device: "/dev/vda".to_owned(),
        size: 1 << 30,
        serial: "disk-1".to_owned(),
        ..Disk::default()
    };
    NextRequest { disks: vec![disk] }
}

fn report(action: &Action, state: ActionState) -> ReportRequest {
    ReportRequest {
        workflow: action.workflow.clone(),
        action_id: action.action_id.clone(),
        attempt: action.attempt,
        state: state.into(),
        ..ReportRequest::default()
    }
}

impl Install {
    async fn begin() -> Self {
        let rack = Rack::start().await;
        let id = async |name: &str| {
            let server = rack.api.when::<Server>(name, |_| true).await;
            server.spec.machine_id
        };
        let ids = [id("node-1").await, id("node-2").await];
        let boot_id = rack.arm().await;
        Self {
            rack,
            boot_id,
            ids,
            agent_key: Key::new(),
            system_key: Key::new(),
            agent: None,
            replaced: None,
            system: None,
            leave: None,
        }
    }

    /// The machine goes on to this stage.
    async fn reach(&mut self, stage: Stage) {
        match stage {
            Stage::Armed => {}
            Stage::Started => self.rack.hear_firmware(),
            Stage::Booted => {
                let script = self
                    .rack
                    .get(ADDRESS, &format!("/ipxe/script/{MAC}/auto.ipxe"), "")
                    .await;
                assert!(script.contains(&self.boot_id), "{script}");
                for file in ["vmlinuz", "initramfs"] {
                    self.rack.get(ADDRESS, &format!("/boot/{file}"), "").await;
                }
            }
            Stage::Claimed => self.claims().await,
            Stage::Disarmed => self.works().await,
            Stage::Over => self.leaves().await,
        }
    }

    async fn claims(&mut self) {
        let request = claim_of(&self.boot_id, &self.agent_key.csr);
        let channel = self.rack.channel(ADDRESS, None);
        let answer = SessionsClient::new(channel).claim(request).await.unwrap();
        let Some(Outcome::Granted(granted)) = answer.into_inner().outcome else {
            panic!("the machine itself is refused")
        };
        let first = self.agent_key.with(&granted.certificate_pem);
        let channel = self.rack.channel(ADDRESS, Some(&first));
        let csr_pem = self.agent_key.csr.clone();
        let renewed = SessionsClient::new(channel).renew(RenewRequest { csr_pem }).await;
        let renewed = renewed.unwrap().into_inner().certificate_pem;
        (self.agent, self.replaced) = (Some(self.agent_key.with(&renewed)), Some(first));
    }

    async fn next(&self) -> Action {
        let channel = self.rack.channel(ADDRESS, self.agent.as_ref());
        let step = WorkflowsClient::new(channel).next(request()).await;
        let Some(Step::Action(action)) = step.unwrap().into_inner().step else {
            panic!("no action")
        };
        action
    }

    async fn reports(&self, action: &Action) {
        let channel = self.rack.channel(ADDRESS, self.agent.as_ref());
        let request = report(action, ActionState::Success);
        WorkflowsClient::new(channel).report(request).await.unwrap();
    }

    async fn works(&mut self) {
        let action = self.next().await;
        assert_eq!(action.environment["IMG_URL"], IMAGE_URL);
        let channel = self.rack.channel(ADDRESS, self.agent.as_ref());
        let csr_pem = self.system_key.csr.clone();
        let given = SessionsClient::new(channel)
            .first_boot(FirstBootRequest { csr_pem })
            .await;
        let pem = given.unwrap().into_inner().certificate_pem;
        self.system = Some(self.system_key.with(&pem));
        self.reports(&action).await;
        self.leave = Some(self.next().await);
        self.rack.phase(SessionPhase::Disarmed).await;
    }

    async fn leaves(&mut self) {
        let leave = self.leave.take().unwrap();
        self.reports(&leave).await;
        self.rack.phase(SessionPhase::Closed).await;
        let system = self.system.as_ref();
        let data = self.rack.post(ADDRESS, "/v1/first-boot", system).await;
        assert!(data.starts_with("HTTP/1.1 200") && data.contains(DATA), "{data}");
        let file = self.rack.post(ADDRESS, cases::FILE, system).await;
        assert!(file.starts_with("HTTP/1.1 200") && file.ends_with(FILE), "{file}");
        let done = self.rack.post(ADDRESS, "/v1/first-boot/done", system).await;
        assert!(done.starts_with("HTTP/1.1 204"), "{done}");
    }

    fn identity(&self, shown: Shown) -> Option<ClientIdentity> {
        let key = Key::new();
        let [own, other] = &self.ids;
        let agent = |id: &str, attempt| {
            let issued = self.rack.ca.issue_attempt(&key.csr, id, attempt, hour());
            Some(key.with(&issued.unwrap().pem))
        };
        let system = |id: &str, attempt| {
            let issued = self.rack.ca.issue_first_boot(&key.csr, id, attempt, hour());
            Some(key.with(&issued.unwrap().pem))
        };
        match shown {
            Shown::Nothing => None,
            Shown::Agent => Some(self.agent.clone().unwrap()),
            Shown::Replaced => Some(self.replaced.clone().unwrap()),
            Shown::System => Some(self.system.clone().unwrap()),
            Shown::EarlierBoot => agent(own, 1),
            Shown::EarlierAttempt => agent(own, 0),
            Shown::OtherMachine => agent(other, 1),
            Shown::EarlierSystem => system(own, 0),
            Shown::OtherSystem => system(other, 1),
        }
    }

    /// Everything that the thief hears.
    async fn attempt(&self, case: &Case) -> String {
        let from = case.from.address();
        match &case.what {
            Try::Http(path, headers) => self.rack.get(from, path, headers).await,
            Try::MappedHttp(path) => self.rack.mapped_get(from, path).await,
            Try::Tftp(file) => self.rack.tftp(from, file).await,
            Try::Claim(change) => {
                let mut request = claim_of(&self.boot_id, &Key::new().csr);
                change(&mut request);
                self.claim(from, request).await
            }
            Try::Replay => {
                self.claim(from, claim_of(&self.boot_id, &self.agent_key.csr))
                    .await
            }
            Try::Call(shown, call) => {
                let channel = self.rack.channel(from, self.identity(*shown).as_ref());
                self.call(channel, *call).await
            }
            Try::Post(shown, path) => {
                let identity = self.identity(*shown);
                self.rack.post(from, path, identity.as_ref()).await
            }
        }
    }

    async fn claim(&self, from: &str, request: ClaimRequest) -> String {
        let channel = self.rack.channel(from, None);
        format!("{:?}", SessionsClient::new(channel).claim(request).await)
    }

    async fn call(&self, channel: Channel, call: Call) -> String {
        let csr_pem = Key::new().csr;
        let (mut sessions, mut workflows) = (
            SessionsClient::new(channel.clone()),
            WorkflowsClient::new(channel),
        );
        match call {
            Call::Next => format!("{:?}", workflows.next(request()).await),
            Call::Report => {
                let action = Action {
                    workflow: format!("{}/install", rack::NAMESPACE),
                    attempt: 1,
                    ..Action::default()
                };
                let request = report(&action, ActionState::Success);
                let answer = workflows.report(request).await;
                assert!(answer.is_err(), "a thief's report counts");
                format!("{answer:?}")
            }
            Call::Renew => format!("{:?}", sessions.renew(RenewRequest { csr_pem }).await),
            Call::FirstBoot => format!("{:?}", sessions.first_boot(FirstBootRequest { csr_pem }).await),
        }
    }

    async fn recorded(&self, from: &str, before: usize) -> Vec<String> {
        let wait = async {
            loop {
                let records = self.rack.records_of(from);
                if records.len() > before {
                    return records[before..].to_vec();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_the_machine_gets_anything_and_the_machine_installs() {
    let cases = cases();
    let count = cases.len();
    assert!(count >= 30, "{count}");
    let mut install = Install::begin().await;
    let mut stage = Stage::Armed;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calls = std::collections::HashMap::new();
    for (number, case) in cases.iter().enumerate() {
        if case.stage != stage {
            stage = case.stage;
            install.reach(stage).await;
        }
        let from = case.from.address();
        let count = calls.entry(from).or_insert(0);
        *count += 1;
        if *count > AT_ONCE {
            pace.tick().await;
        }
        let before = install.rack.records_of(from).len();
        let heard = install.attempt(case).await;
        let what = format!("case {number}, {stage:?} from {:?}: {heard}", case.from);
        for secret in [&install.boot_id, DATA, FILE, USER_DATA, IMAGE_URL, GRANTED] {
            assert!(!heard.contains(secret), "{secret} in {what}");
        }
        assert!(!heard.starts_with("HTTP/1.1 204"), "{what}");
        let records = install.recorded(from, before).await;
        assert!(!records.is_empty(), "no record of {what}");
        // Shown with `--nocapture`.
        println!("{number:2} {stage:?} {:?}: {}", case.from, records.join(" | "));
    }
    assert_eq!(stage, Stage::Over, "the machine has installed");
    for reason in [
        "ForeignClaim",
        "MisfitClaim",
        "ClaimBeforeStart",
        "ClaimWithoutBoot",
    ] {
        for kind in ["Server", "Hardware"] {
            install.rack.api.event(kind, "node-1", reason).await;
        }
    }
    install.rack.end().await;
}
