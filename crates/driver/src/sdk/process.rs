//! The process of a driver: what the environment asks for, the socket, the handshake, and its end.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::admission::Admission;
use super::events::Events;
use super::last_error::LastError;
use super::machines::MachinesService;
use super::plugin::PluginService;
use super::provider::Provider;
use crate::handshake::{
    COOKIE, COOKIE_VARIABLE, EXIT_NO_COOKIE, EXIT_NO_MINOR, Handshake, MINORS_VARIABLE, SOCKET_DIR_VARIABLE,
    common_minor, parse_minors,
};
use crate::v1::DESCRIPTORS;
use crate::v1::machines_server::MachinesServer;
use crate::v1::plugin_server::PluginServer;

/// Exit status when the driver can't serve (EX_SOFTWARE).
const EXIT_FAILED: u8 = 70;
/// Largest message that is taken, in bytes. The transport refuses what is larger.
const LARGEST_MESSAGE: usize = 8 * 1024 * 1024;

/// What a provider gets from its process.
#[derive(Debug, Clone)]
pub struct Context {
    /// For people.
    pub events: Events,
}

/// A whole driver: `main` of its program is this. `build_id` names the build, as a digest of its sources.
///
/// It runs until its standard input ends.
pub fn run<P: Provider>(build_id: &str, provider: impl FnOnce(&Context) -> P) -> ExitCode {
    log_as_json();
    let environment = match Environment::read() {
        Ok(environment) => environment,
        Err((status, message)) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            return ExitCode::from(status);
        }
    };
    // Secrets pass through this process: nobody may read its memory.
    let _ = nix::sys::prctl::set_dumpable(false);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let ended = runtime.block_on(serve(environment, build_id, provider));
    // Calls that hang must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

fn failed(message: &str) -> ExitCode {
    tracing::error!(error = message, "the driver can't serve");
    ExitCode::from(EXIT_FAILED)
}

fn log_as_json() {
    let lines = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO);
    // A test may have one already.
    let _ = lines.try_init();
}

/// What the core says by the environment.
struct Environment {
    directory: PathBuf,
    minor: u32,
}

impl Environment {
    fn read() -> Result<Self, (u8, String)> {
        if std::env::var(COOKIE_VARIABLE).as_deref() != Ok(COOKIE) {
            let message =
                "this program is a driver for machines, which the core starts by itself; see `gantry driver`";
            return Err((EXIT_NO_COOKIE, message.to_owned()));
        }
        let offered = std::env::var(MINORS_VARIABLE).unwrap_or_default();
        let minor = common_minor(&parse_minors(&offered)).ok_or_else(|| {
            let message = format!("{MINORS_VARIABLE} is {offered:?}, and this driver speaks none of these");
            (EXIT_NO_MINOR, message)
        })?;
        let directory = std::env::var_os(SOCKET_DIR_VARIABLE).ok_or_else(|| {
            let message = format!("{SOCKET_DIR_VARIABLE} is not set: there is no place for the socket");
            (EXIT_NO_COOKIE, message)
        })?;
        Ok(Self {
            directory: directory.into(),
            minor,
        })
    }
}

async fn serve<P: Provider>(
    environment: Environment,
    build_id: &str,
    provider: impl FnOnce(&Context) -> P,
) -> Result<(), String> {
    let context = Context {
        events: Events::default(),
    };
    let provider = Arc::new(provider(&context));
    let mut info = provider.info();
    build_id.clone_into(&mut info.build_id);
    info.protocol_majors = vec![1];
    let admission = Arc::new(Admission::new(&provider.schemas(), info.clone())?);
    let (last_error, ending) = (LastError::default(), CancellationToken::new());
    let (health, health_service) = tonic_health::server::health_reporter();
    let plugin = PluginService {
        provider: provider.clone(),
        admission: admission.clone(),
        info,
        events: context.events,
        last_error: last_error.clone(),
        health,
        ending: ending.clone(),
    };
    let machines = MachinesService::new(provider, admission, last_error, ending.clone());
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .map_err(|error| error.to_string())?;

    let socket = environment.directory.join("driver.sock");
    let listener = UnixListener::bind(&socket).map_err(|error| format!("{}: {error}", socket.display()))?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&socket, mode).map_err(|error| format!("{}: {error}", socket.display()))?;
    let handshake = Handshake {
        minor: environment.minor,
        socket,
        build_id: build_id.to_owned(),
    };
    writeln!(std::io::stdout(), "{handshake}").map_err(|error| format!("standard output: {error}"))?;

    let stopped = end_of_input();
    let server = Server::builder()
        .add_service(health_service)
        .add_service(reflection)
        .add_service(PluginServer::new(plugin))
        .add_service(MachinesServer::new(machines).max_decoding_message_size(LARGEST_MESSAGE))
        .serve_with_incoming(UnixListenerStream::new(listener));
    tokio::select! {
        served = server => served.map_err(|error| error.to_string()),
        () = stopped => Ok(()),
    }
}

/// The core has gone, or wants the driver to go. It reads on a thread of its own, which ends with the process: a read that
/// waits can't be taken back.
async fn end_of_input() {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut rest = [0; 256];
        while std::io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
        drop(ended);
    });
    // It is never sent, only dropped.
    let _ = end.await;
}
