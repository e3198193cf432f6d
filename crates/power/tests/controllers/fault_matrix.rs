//! Many power operations on BMCs that have every fault of the simulators: what is asked for is done, nothing else is, and
//! no session is left behind; also where the appliance is killed again and again.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::ipmi::Control;
use ipmi_server::{Fault as Packet, Profile, SimulatedBmc};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Client, Config};
use tokio::process::{Child, Command};

use super::fake_bmc::Fault;
use super::ipmi::{bmc, bmc_with};
use super::*;

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A BMC with the machine behind it.
enum Rig {
    Ipmi(SimulatedBmc),
    Redfish(FakeBmc),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    On,
    Off,
    Cycle,
    Netboot,
}

impl Operation {
    const ALL: [Self; 4] = [Self::On, Self::Off, Self::Cycle, Self::Netboot];

    fn tasks(self) -> Value {
        match self {
            Self::On => json!([{"powerAction": "on"}]),
            Self::Off => json!([{"powerAction": "off"}]),
            Self::Cycle => json!([{"powerAction": "cycle"}]),
            Self::Netboot => netboot(),
        }
    }

    /// Whether the machine is on afterwards.
    fn ends_on(self) -> bool {
        self != Self::Off
    }

    /// The power actions that it may come to.
    fn allows(self, action: &str) -> bool {
        match self {
            Self::On => action == "on",
            Self::Off => action == "off",
            Self::Cycle => action == "cycle",
            Self::Netboot => matches!(action, "off" | "on"),
        }
    }
}

impl Rig {
    async fn start(number: usize) -> Self {
        if number.is_multiple_of(2) {
            Self::Ipmi(bmc().await)
        } else {
            Self::Redfish(FakeBmc::start().await)
        }
    }

    async fn add_to(&self, site: &Site, name: &str) {
        match self {
            Self::Ipmi(bmc) => {
                let options = json!({"preferredOrder": ["ipmitool"], "ipmitool": {"port": bmc.port}});
                site.add_connection(name, json!({ "providerOptions": options }))
                    .await;
            }
            Self::Redfish(bmc) => site.add_bmc(name, bmc, fake_bmc::PASSWORD).await,
        }
    }

    /// One fault, or none; each ends by itself. What the BMC still shows of an operation before is over: a state from then would
    /// be believed.
    fn disturb(&self, dice: &mut Dice) {
        let count = usize::try_from(1 + dice.below(2)).unwrap();
        match self {
            Self::Ipmi(bmc) => {
                bmc.machine.lag(0);
                match dice.below(10) {
                    0 => bmc.handle.inject(Packet::Lose, count),
                    1 => bmc.handle.inject(Packet::LoseRequest, count),
                    2 => bmc.handle.inject(Packet::Truncate, count),
                    3 => bmc.handle.inject(Packet::Duplicate, 4),
                    4 => bmc.machine.forget_boot_flags(1),
                    5 => bmc.machine.refuse_controls(1),
                    6 => bmc.machine.lag(2),
                    _ => {}
                }
            }
            Self::Redfish(bmc) => {
                bmc.lag(0);
                match dice.below(10) {
                    0 => bmc.inject(Fault::Status(503), count),
                    1 => bmc.inject(Fault::DoneBut(500), count),
                    2 => bmc.inject(Fault::Garbage, count),
                    3 => bmc.inject(Fault::Reset, count),
                    4 => bmc.forget_overrides(1),
                    5 => bmc.inject(Fault::Status(401), 1),
                    6 => bmc.lag(2),
                    _ => {}
                }
            }
        }
    }

    fn is_on(&self) -> bool {
        match self {
            Self::Ipmi(bmc) => bmc.machine.is_really_on(),
            Self::Redfish(bmc) => bmc.is_on(),
        }
    }

    /// Every power action so far.
    fn done(&self) -> Vec<&'static str> {
        match self {
            Self::Ipmi(bmc) => {
                let word = |control: &Control| match control {
                    Control::On => "on",
                    Control::Off => "off",
                    Control::Cycle => "cycle",
                    Control::Reset | Control::Soft | Control::DiagnosticInterrupt => "other",
                };
                bmc.machine.done().iter().map(word).collect()
            }
            Self::Redfish(bmc) => {
                let word = |change: &String| match change.as_str() {
                    "On" => Some("on"),
                    "ForceOff" => Some("off"),
                    "ForceRestart" => Some("cycle"),
                    change if change.starts_with("Once") => None,
                    _ => Some("other"),
                };
                bmc.changes().iter().filter_map(word).collect()
            }
        }
    }

    /// The most sessions that were open at once.
    fn most_sessions(&self) -> usize {
        match self {
            Self::Ipmi(bmc) => bmc.handle.most_sessions(),
            Self::Redfish(bmc) => bmc.sessions().1,
        }
    }
}

/// So often a person tries.
const TRIES: usize = 5;

/// What came of the operations.
#[derive(Debug, Default)]
struct Tally {
    done: AtomicUsize,
    /// Jobs that failed, and were made once more as a person does: of a cycle during which the appliance was killed nobody
    /// knows whether it happened.
    repeated: AtomicUsize,
    /// Those of which no Job has completed, however often it was made. How many depends on how fast kills follow each other; the
    /// machine's state counts.
    unknown: AtomicUsize,
    wrong_states: AtomicUsize,
    wrong_actions: AtomicUsize,
}

/// Makes a Job and waits for its end; the reason of one that failed.
async fn run_job(site: &Site, name: &str, machine: &str, tasks: Value) -> Result<(), String> {
    let jobs = site.api.api::<Job>();
    let job: Job = serde_json::from_value(json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job",
        "metadata": {"name": name}, "spec": {"machineRef": {"name": machine, "namespace": NAMESPACE}, "tasks": tasks}}))
    .unwrap();
    jobs.create(&PostParams::default(), &job).await.unwrap();
    let ended = |job: Option<&Job>| {
        let status = job.and_then(|job| job.status.as_ref());
        status.is_some_and(|status| status.conditions.iter().any(resources::bmc::BmcCondition::is_end))
    };
    let end = tokio::time::timeout(Duration::from_secs(400), await_condition(jobs, name, ended));
    let job = end.await.expect("a Job ends").unwrap().unwrap();
    let job = serde_json::to_value(job).unwrap();
    match condition(&job, "Failed").filter(|held| held["status"] == "True") {
        Some(held) => Err(held["message"].to_string()),
        None => Ok(()),
    }
}

async fn operate(site: &Site, rig: &Rig, (machine, seed): (usize, u64), count: usize, tally: &Tally) {
    let mut dice = Dice(seed.wrapping_add(u64::try_from(machine).unwrap()));
    let name = format!("m-{machine}");
    for number in 0..count {
        let operation = Operation::ALL[usize::try_from(dice.below(4)).unwrap()];
        let before = rig.done().len();
        rig.disturb(&mut dice);
        let (mut jobs, mut completed) = (0, false);
        while jobs < TRIES && !completed {
            let job = format!("job-{machine}-{number}-{jobs}");
            jobs += 1;
            match run_job(site, &job, &name, operation.tasks()).await {
                Ok(()) => completed = true,
                Err(reason) => assert!(!reason.contains("\\n"), "a cause of one line: {reason}"),
            }
        }
        tally.repeated.fetch_add(jobs - 1, Ordering::Relaxed);
        let done = rig.done().split_off(before);
        let cycles = done.iter().filter(|action| **action == "cycle").count();
        if done.iter().any(|action| !operation.allows(action)) || cycles > jobs {
            eprintln!("{name} {operation:?}: {done:?}");
            tally.wrong_actions.fetch_add(1, Ordering::Relaxed);
        }
        tally
            .unknown
            .fetch_add(usize::from(!completed), Ordering::Relaxed);
        if rig.is_on() != operation.ends_on() {
            eprintln!(
                "{name} {operation:?}: completed: {completed}, on: {}",
                rig.is_on()
            );
            tally.wrong_states.fetch_add(1, Ordering::Relaxed);
        }
        tally.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Tally {
    fn judge(&self, wanted: usize) {
        println!("{self:?}");
        let counts = [&self.done, &self.wrong_states, &self.wrong_actions];
        let [done, wrong_states, wrong_actions] = counts.map(|count| count.load(Ordering::Relaxed));
        assert_eq!((done, wrong_actions), (wanted, 0));
        assert!(
            wrong_states * 1000 <= done,
            "{wrong_states} of {done} ended in a wrong state"
        );
    }
}

/// So many operations on so many machines at once.
async fn matrix(machines: usize, operations: usize) {
    let (site, tally) = (Site::start().await, Tally::default());
    let mut rigs = Vec::new();
    for machine in 0..machines {
        let rig = Rig::start(machine).await;
        rig.add_to(&site, &format!("m-{machine}")).await;
        rigs.push(rig);
    }
    let each = operations / machines;
    let all = rigs
        .iter()
        .enumerate()
        .map(|(machine, rig)| operate(&site, rig, (machine, 11), each, &tally));
    futures::future::join_all(all).await;
    site.stop().await;
    tally.judge(each * machines);
    for (machine, rig) in rigs.iter().enumerate() {
        assert_eq!(rig.most_sessions(), 1, "m-{machine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_operations() {
    matrix(20, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run by hand when the power controllers or a BMC client change"]
async fn fault_matrix_of_two_thousand_operations() {
    matrix(40, 2000).await;
}

/// Names the file by which [`appliance`] finds the API.
const KUBECONFIG: &str = "FAULT_MATRIX_KUBECONFIG";

/// The controllers as a program of their own, that others here start and kill.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "only as the child of another test"]
async fn appliance() {
    let Some(file) = std::env::var_os(KUBECONFIG) else {
        eprintln!("SKIPPED: not started by another test");
        return;
    };
    let file = Kubeconfig::read_from(file).unwrap();
    let context = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &context).await.unwrap();
    let client = Client::try_from(config).unwrap();
    power::run(client, options(), CancellationToken::new()).await;
}

/// Starts it. It ends with the value.
fn start_appliance(kubeconfig: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["fault_matrix::appliance", "--exact", "--ignored", "--nocapture"])
        .env(KUBECONFIG, kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Kills the appliance so often, each time when some more operations have ended, and starts it again.
async fn kill(kubeconfig: &Path, kills: usize, operations: usize, tally: &Tally) -> Child {
    let mut running = start_appliance(kubeconfig);
    for number in 1..=kills {
        let until = number * operations / (kills + 1);
        while tally.done.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.kill().await.unwrap();
        running = start_appliance(kubeconfig);
    }
    running
}

async fn matrix_with_kills(machines: usize, operations: usize, kills: usize) {
    let site = Site::without_controllers(sim::Site::start(NAMESPACE).await);
    let kubeconfig = site.api.serve().await;
    let tally = Tally::default();
    let mut rigs = Vec::new();
    for machine in 0..machines {
        // One session at a time: that of an appliance that was killed is in the way until the BMC ends it.
        let profile = Profile {
            sessions: 1,
            idle: Duration::from_secs(2),
            ..Profile::default()
        };
        let rig = match machine % 2 {
            0 => Rig::Ipmi(bmc_with(profile).await),
            _ => Rig::Redfish(FakeBmc::start().await),
        };
        rig.add_to(&site, &format!("m-{machine}")).await;
        rigs.push(rig);
    }
    let each = operations / machines;
    let all = rigs
        .iter()
        .enumerate()
        .map(|(machine, rig)| operate(&site, rig, (machine, 12), each, &tally));
    let all = futures::future::join_all(all);
    let (_, running) = tokio::join!(all, kill(&kubeconfig, kills, each * machines, &tally));
    drop(running);
    tally.judge(each * machines);
    let left: Vec<usize> = rigs.iter().map(Rig::most_sessions).collect();
    println!("most sessions at once: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_an_appliance_that_is_killed() {
    matrix_with_kills(10, 50, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run by hand when the power controllers or a BMC client change"]
async fn fault_matrix_of_a_thousand_operations_and_fifty_kills() {
    matrix_with_kills(40, 1000, 50).await;
}
