//! The supervisor with real processes: drivers that crash, hang, lie, write garbage, and are replaced on disk.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use driver::supervisor::{
    DriverConfiguration, DriverPhase, DriverStatus, Launcher, RestartPolicy, StartError, Supervisor,
    SupervisorSettings,
};
use driver::v1::GetInfoRequest;
use driver::v1::plugin_client::PluginClient;
use driver_sim::Breach;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// For everything that has to happen at some time.
const GENEROUS: Duration = Duration::from_secs(120);

/// A supervisor that runs.
struct Running {
    supervisor: Supervisor,
    cancel: CancellationToken,
    work: JoinHandle<()>,
    settings: SupervisorSettings,
    _directory: TempDir,
}

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_memory-driver").into()
}

fn configuration(program: &Path, breach: Option<Breach>) -> DriverConfiguration {
    let digest = sha256(program);
    DriverConfiguration {
        name: "memory".to_owned(),
        program: program.to_owned(),
        sha256: Some(digest),
        arguments: breach
            .map(|breach| breach.name().to_owned())
            .into_iter()
            .collect(),
        environment: Vec::new(),
        user: None,
        limits: driver::launch::Limits::default(),
        readable: Vec::new(),
    }
}

fn sha256(file: &Path) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(std::fs::read(file).expect("the program can be read"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn settings(directory: &TempDir) -> SupervisorSettings {
    let launcher = Launcher {
        program: env!("CARGO_BIN_EXE_driver-launcher").into(),
        arguments: Vec::new(),
    };
    let mut settings = SupervisorSettings::new(launcher, directory.path().to_owned());
    settings.start_limit = Duration::from_secs(60);
    settings.health_interval = Duration::from_millis(50);
    settings.restarts = RestartPolicy {
        first: Duration::from_millis(10),
        longest: Duration::from_millis(40),
        stable: Duration::from_secs(3600),
        quarantine_after: 4,
    };
    settings
}

fn run(driver: DriverConfiguration, adapt: impl FnOnce(&mut SupervisorSettings)) -> Running {
    let directory = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&directory);
    adapt(&mut settings);
    let cancel = CancellationToken::new();
    let (supervisor, work) = Supervisor::new(driver, settings.clone(), cancel.clone());
    Running {
        supervisor,
        cancel,
        work: tokio::spawn(work),
        settings,
        _directory: directory,
    }
}

impl Running {
    async fn until(&self, what: &str, holds: impl Fn(&DriverStatus) -> bool) -> DriverStatus {
        let found = timeout(GENEROUS, self.supervisor.wait(holds)).await;
        match found {
            Ok(Some(status)) => status,
            _ => panic!(
                "never {what}; it is {:?}\n{:#?}",
                self.supervisor.status(),
                self.supervisor.log().after(0)
            ),
        }
    }

    async fn ready(&self) -> DriverStatus {
        self.until("ready", |status| status.phase == DriverPhase::Ready)
            .await
    }

    async fn quarantined(&self) -> String {
        self.until("quarantined", |status| status.phase == DriverPhase::Quarantined)
            .await
            .reason
    }

    async fn stop(self) {
        self.cancel.cancel();
        timeout(GENEROUS, self.work)
            .await
            .expect("the work ends")
            .expect("it does not panic");
        let left: Vec<_> = std::fs::read_dir(&self.settings.runtime_dir)
            .expect("the directory is there")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("the process is there");
}

#[tokio::test]
async fn a_driver_is_ready_confined_and_answers() {
    let running = run(configuration(&program(), None), |_| {});
    let status = running.ready().await;
    let info = status.info.expect("it says who it is");
    assert_eq!(
        (info.name.as_str(), info.provider_id_scheme.as_str()),
        ("memory", "memory")
    );
    let isolation = status.isolation.expect("the kernel says how it is confined");
    assert!(isolation.no_new_privileges, "{isolation:?}");
    assert_eq!(isolation.filters, 2, "{isolation:?}");
    let mut client = PluginClient::new(running.supervisor.channel().expect("it is ready"));
    let request = GetInfoRequest {
        core_version: String::new(),
        protocol_minors: vec![0],
    };
    client.get_info(request).await.expect("it answers");
    let pid = status.pid.expect("a process");
    running.stop().await;
    assert!(!is_alive(pid), "process {pid} lives on");
}

#[tokio::test]
async fn a_driver_that_was_killed_is_started_again() {
    let running = run(configuration(&program(), None), |_| {});
    let first = running.ready().await.pid.expect("a process");
    signal(first, Signal::SIGKILL);
    let again = running
        .until("started again", |status| {
            status.pid.is_some_and(|pid| pid != first)
        })
        .await;
    assert_eq!((again.phase, again.restarts), (DriverPhase::Ready, 1));
    running.stop().await;
}

#[tokio::test]
async fn a_driver_that_hangs_is_ended_and_started_again() {
    let running = run(configuration(&program(), None), |settings| {
        settings.health_limit = Duration::from_millis(200);
    });
    let first = running.ready().await.pid.expect("a process");
    signal(first, Signal::SIGSTOP);
    let again = running
        .until("started again", |status| {
            status.pid.is_some_and(|pid| pid != first)
        })
        .await;
    assert!(!is_alive(first), "process {first} lives on");
    assert_eq!(again.restarts, 1);
    let log = running.supervisor.log().after(0);
    assert!(
        log.iter()
            .any(|line| line.message.contains("it was ended: no answer")),
        "{log:#?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn one_that_ends_at_once_is_left_alone_in_the_end() {
    let running = run(configuration(&program(), Some(Breach::EndsAtStart)), |_| {});
    let reason = running.quarantined().await;
    assert!(
        reason.contains("ended before it was ready, with exit status: 3: no license file"),
        "{reason}"
    );
    assert_eq!(running.supervisor.status().restarts, 3);
    let refused = running.supervisor.channel().expect_err("it is not ready");
    assert!(refused.to_string().contains("quarantined"), "{refused}");
    running.supervisor.retry().await;
    running.until("tried again", |status| status.restarts > 3).await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_driver_is_told_as_such() {
    let hang = |settings: &mut SupervisorSettings| {
        settings.start_limit = Duration::from_secs(2);
        settings.restarts.quarantine_after = 1;
    };
    for (breach, expected) in [
        (
            Breach::HangsAtStart,
            "was not ready after 2 s: its line on standard output was missing",
        ),
        (
            Breach::WritesGarbage,
            "wrote \"Welcome to the driver!\\n\" where the handshake belongs: it has 1 fields",
        ),
        (Breach::SocketElsewhere, "its socket is not in"),
        (
            Breach::OtherName,
            "that its name is \"other\", and \"memory\" was expected",
        ),
        (Breach::BadSchema, "the scope schema is no JSON Schema"),
    ] {
        let running = run(configuration(&program(), Some(breach)), |settings| {
            if breach == Breach::HangsAtStart {
                hang(settings);
            } else {
                settings.restarts.quarantine_after = 1;
            }
        });
        let reason = running.quarantined().await;
        assert!(reason.contains(expected), "{breach:?}: {reason}");
        running.stop().await;
    }
}

#[tokio::test]
async fn another_program_in_its_place_is_not_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("driver");
    std::fs::copy(program(), &copy).expect("a copy");
    let driver = configuration(&copy, None);
    let running = run(driver.clone(), |_| {});
    let first = running.ready().await.pid.expect("a process");

    // In place, while it runs: what runs is a copy.
    let mut other = std::fs::read(&copy).expect("the program");
    other.extend_from_slice(b"more");
    std::fs::remove_file(&copy).expect("it goes");
    std::fs::write(&copy, &other).expect("another one");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&copy, mode).expect("executable");
    signal(first, Signal::SIGKILL);
    let reason = running.quarantined().await;
    let (found, pinned) = (sha256(&copy), driver.sha256.clone().expect("it is pinned"));
    assert!(
        reason.contains(&format!("has digest {found} and not {pinned}")),
        "{reason}"
    );

    // A person pins it.
    let trusted = DriverConfiguration {
        sha256: Some(found),
        ..driver
    };
    running
        .supervisor
        .replace(trusted)
        .await
        .expect("it is taken over");
    running.ready().await;
    running.stop().await;
}

#[tokio::test]
async fn a_driver_is_replaced_while_it_takes_calls() {
    let running = run(configuration(&program(), None), |_| {});
    let first = running.ready().await.pid.expect("a process");
    let wrong = configuration(&program(), Some(Breach::EndsAtStart));
    let error = running
        .supervisor
        .replace(wrong)
        .await
        .expect_err("it does not start");
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
    assert_eq!(
        running.supervisor.status().pid,
        Some(first),
        "the present one stays"
    );

    let other = configuration(&program(), Some(Breach::LeavesSessions));
    running.supervisor.replace(other).await.expect("it starts");
    let status = running.supervisor.status();
    assert_eq!(status.phase, DriverPhase::Ready);
    assert_ne!(status.pid, Some(first));
    assert_eq!(status.restarts, 0);
    running.stop().await;
    assert!(!is_alive(first), "process {first} lives on");
}

#[tokio::test]
async fn a_driver_runs_as_its_own_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can start processes of other users");
        return;
    }
    let mut driver = configuration(&program(), None);
    driver.user = Some(driver::launch::UserIds {
        uid: 64_321,
        gid: 64_321,
    });
    let directory = tempfile::tempdir().expect("a directory");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), mode).expect("others may pass");
    let running = run(driver, |settings| {
        settings.runtime_dir = directory.path().to_owned()
    });
    let isolation = running
        .ready()
        .await
        .isolation
        .expect("the kernel says how it is confined");
    assert_eq!(isolation.uid, 64_321);
    running.stop().await;
}

/// A script as a driver: it tries what it may not do, and says what it could.
const SCRIPT: &str = r#"#!/bin/sh
echo text > "$OUTSIDE/written" && echo "wrote outside" >&2
cat "$OUTSIDE/private" && echo "read outside" >&2
unshare --mount true && echo "left its namespaces" >&2
ls "$OUTSIDE/shared" && echo "read what it was given" >&2
echo text > "$TMPDIR/written" && echo "wrote inside" >&2
echo "core dumps: $(ulimit -c), open files: $(ulimit -n), home is '$HOME'" >&2
exit 3
"#;

#[tokio::test]
async fn a_driver_reaches_nothing_but_its_own() {
    let outside = tempfile::tempdir().expect("a directory");
    let script = outside.path().join("script");
    std::fs::write(&script, SCRIPT).expect("a script");
    std::fs::write(outside.path().join("private"), "text").expect("a file");
    std::fs::create_dir(outside.path().join("shared")).expect("a folder");
    let mut driver = configuration(&script, None);
    driver.environment = vec![("OUTSIDE".to_owned(), outside.path().display().to_string())];
    driver.readable = vec![outside.path().join("shared")];
    driver.limits.open_files = 77;
    let running = run(driver, |settings| settings.restarts.quarantine_after = 1);
    running.quarantined().await;
    let log: Vec<String> = running
        .supervisor
        .log()
        .after(0)
        .into_iter()
        .map(|line| line.message)
        .collect();
    let says = |text: &str| log.iter().any(|line| line == text);
    assert!(says("wrote inside") && says("read what it was given"), "{log:#?}");
    assert!(says("core dumps: 0, open files: 77, home is ''"), "{log:#?}");
    assert!(!says("left its namespaces"), "{log:#?}");
    if log
        .iter()
        .any(|line| line.contains("Landlock not in this kernel"))
    {
        eprintln!("skipped: this kernel has no Landlock");
    } else {
        assert!(!says("wrote outside") && !says("read outside"), "{log:#?}");
    }
    running.stop().await;
}
