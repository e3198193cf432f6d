//! Starting and ending racks: in the foreground, or by a supervisor process that stays.
//!
//! Invariant: a rack has one supervisor, the holder of the lock in its state directory; whoever finds the lock free
//! and a state directory there may clear what is left.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::options::{DownOptions, UpOptions};
use crate::paths::{RackPaths, state_root};
use crate::plan::RackPlan;
use crate::process::{enter, open_namespace, own_session};
use crate::rack::{self, Progress, Rack, clear, clear_aside, to_json, write_file};
use crate::status::{self, RackStatus, find, supervisor_state};

const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(30);

/// Starts a rack. With `detach` it returns once the rack is ready; else it runs the rack until cancelled and returns
/// when nothing of it is left (its disks, with `keep_disks`).
pub async fn up(
    options: &UpOptions,
    cancel: CancellationToken,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<RackStatus, Error> {
    options.check()?;
    require_root()?;
    let seed = options
        .seed
        .clone()
        .unwrap_or_else(|| format!("{:08x}", rand::random::<u32>()));
    let options = UpOptions {
        seed: Some(seed.clone()),
        ..options.clone()
    };
    let plan = RackPlan::derive(&seed, &options);
    let paths = RackPaths::new(&options.state_root.clone().unwrap_or_else(state_root), &plan.id);
    progress(Progress::Step(format!("rack {} from seed {seed}", plan.id)));
    claim(&plan, &paths, &options)?;
    if options.detach {
        return detach(&plan, &paths, &options, progress).await;
    }
    let _lock = lock(&plan, &paths)?;
    let result = rack::run(&plan, &paths, &options, cancel, progress).await;
    let end = status::describe(&plan, &paths, &options);
    if !options.keep_disks || result.is_err() {
        remove_dir(&paths)?;
    }
    result.map(|()| end)
}

/// The body of the hidden verb that a detached rack's supervisor is. Ends by SIGTERM, SIGINT or SIGHUP.
pub async fn supervise(state_dir: &Path) -> Result<(), Error> {
    require_root()?;
    let paths = RackPaths::of_dir(state_dir).ok_or(Error::NoRack)?;
    let (plan, options) = status::read(&paths)?;
    let _lock = lock(&plan, &paths)?;
    let cancel = CancellationToken::new();
    let mut signals = EndSignals::new(&paths)?;
    let stop = cancel.clone();
    let waiting = tokio::spawn(async move {
        signals.any().await;
        stop.cancel();
    });
    let mut report = |progress: Progress| {
        if let Progress::Step(step) = progress {
            tracing::info!(state = %step, "rack");
        }
    };
    let result = rack::run(&plan, &paths, &options, cancel, &mut report).await;
    waiting.abort();
    result
}

/// Ends a rack and removes everything of it. One that crashed is cleared as well.
pub async fn down(options: &DownOptions) -> Result<String, Error> {
    require_root()?;
    let (plan, paths, _) = find(options.id.as_deref(), options.state_root.as_deref())?;
    if let Some(state) = supervisor_state(&paths) {
        let supervisor = state.supervisor;
        let started = Instant::now();
        supervisor.signal(Signal::SIGTERM);
        while supervisor.alive() && started.elapsed() < END_LIMIT {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        supervisor.signal(Signal::SIGKILL);
    }
    clear_aside(&plan, &paths).await;
    let left = leftovers(&plan);
    if !left.is_empty() {
        return Err(Error::NotGone {
            id: plan.id,
            seconds: END_LIMIT.as_secs(),
            left,
        });
    }
    if !options.keep_disks {
        remove_dir(&paths)?;
    }
    Ok(plan.id)
}

/// A command that will run inside the appliance's namespace: it sees the boot network and the BMCs, nothing else.
pub fn site_command(plan: &RackPlan, program: &str) -> Result<Command, Error> {
    let name = &plan.site_namespace;
    let namespace = open_namespace(name).map_err(|source| Error::Namespace {
        name: name.clone(),
        source,
    })?;
    let mut command = Command::new(program);
    enter(&mut command, namespace);
    Ok(command)
}

/// Replaces this process by a command in the appliance's namespace. Returns only on error.
pub fn run_in_appliance(id: Option<&str>, command: &[String], root: Option<&Path>) -> Result<(), Error> {
    require_root()?;
    let (plan, paths, options) = find(id, root)?;
    if !status::describe(&plan, &paths, &options).running {
        return Err(Error::NotRunning {
            id: plan.id,
            seed: plan.seed,
        });
    }
    let (program, arguments) = command
        .split_first()
        .map_or(("sh", &[][..]), |(first, rest)| (first.as_str(), rest));
    let source = site_command(&plan, program)?.args(arguments).exec();
    Err(Error::Spawn {
        program: program.to_owned(),
        source,
    })
}

/// Makes the state directory ours to start in: refuses a running rack, clears a dead one.
fn claim(plan: &RackPlan, paths: &RackPaths, options: &UpOptions) -> Result<(), Error> {
    paths.create(plan)?;
    let held = lock(plan, paths)?;
    clear(plan, paths);
    paths.create(plan)?;
    write_file(&paths.options(), 0o600, to_json(options).as_bytes())?;
    drop(held);
    Ok(())
}

/// The rack's lock; the error names who has it.
fn lock(plan: &RackPlan, paths: &RackPaths) -> Result<Flock<File>, Error> {
    let path = paths.lock();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = file.map_err(Error::file("opening", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        let pid = supervisor_state(paths).map_or(0, |state| state.supervisor.pid);
        Error::AlreadyRunning {
            id: plan.id.clone(),
            pid,
        }
    })
}

async fn detach(
    plan: &RackPlan,
    paths: &RackPaths,
    options: &UpOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<RackStatus, Error> {
    let log_path = paths.supervisor_log();
    let log = File::create(&log_path).map_err(Error::file("creating", &log_path))?;
    let log_too = log.try_clone().map_err(Error::file("creating", &log_path))?;
    let own = std::env::current_exe().map_err(Error::file("finding", Path::new("/proc/self/exe")))?;
    let line = match options.supervisor.as_slice() {
        [] => vec![
            own.to_string_lossy().into_owned(),
            "lab".to_owned(),
            "supervise".to_owned(),
        ],
        given => given.to_vec(),
    };
    let (program, arguments) = line.split_first().ok_or(Error::NoRack)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(&paths.dir)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .current_dir("/");
    own_session(&mut command);
    progress(Progress::Step("starting the supervisor".to_owned()));
    let mut child = command.spawn().map_err(|source| Error::Spawn {
        program: program.clone(),
        source,
    })?;
    let started = Instant::now();
    let failed = |text: &str| Error::SupervisorEnded {
        id: plan.id.clone(),
        output: text.to_owned(),
    };
    loop {
        if let Some(state) = supervisor_state(paths).filter(|state| state.ready && state.supervisor.alive()) {
            let rack = Rack {
                plan: plan.clone(),
                paths: paths.clone(),
                accelerator: state.accelerator,
            };
            progress(Progress::Ready(Box::new(rack)));
            return Ok(status::describe(plan, paths, options));
        }
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            let text = String::from_utf8_lossy(&status::tail(&log_path, 2000)).into_owned();
            clear(plan, paths);
            remove_dir(paths)?;
            return Err(failed(text.trim()));
        }
        if started.elapsed() > START_LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            clear(plan, paths);
            return Err(failed(&format!(
                "not ready after {} s; see {}",
                START_LIMIT.as_secs(),
                log_path.display()
            )));
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// What is left of a rack that should be gone.
fn leftovers(plan: &RackPlan) -> String {
    let names = [&plan.rack_namespace, &plan.site_namespace];
    names
        .into_iter()
        .filter(|name| crate::namespace::exists(name))
        .cloned()
        .collect::<Vec<_>>()
        .join(", ")
}

fn remove_dir(paths: &RackPaths) -> Result<(), Error> {
    match fs::remove_dir_all(&paths.dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("removing", &paths.dir)(error))
        }
        _ => Ok(()),
    }
}

fn require_root() -> Result<(), Error> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot)
    }
}

/// The signals that end a supervisor.
struct EndSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl EndSignals {
    fn new(paths: &RackPaths) -> Result<Self, Error> {
        let of = |kind| signal(kind).map_err(Error::file("waiting for signals in", &paths.dir));
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
