//! `gantry`: the command line, and with `gantry serve` the appliance.
//!
//! Owns verbs, texts and exit codes. Everything that changes a cluster goes through the Kubernetes API, with nothing
//! that `kubectl apply` of the same objects would not do; after that the verbs only watch.

mod apply_list;
mod bmc_job;
mod cli;
mod connection;
mod explain;
mod failure;
mod global;
mod hardware;
mod kinds;
mod kubeconfig_error;
mod output;
mod parts;
mod progress;
mod service_manager;
mod snapshot;
mod time;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use failure::Failure;

/// musl's own allocator has one lock for all threads and no caches of them: an import of 10,000 machines takes three times
/// its processor time. jemalloc gives back what is not used: 1,000 clusters take a sixth less memory than with mimalloc. Its
/// settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(driver::launch::ARGUMENT) {
        // Before there are threads: this process becomes a driver.
        return driver::launch::launch_main(&arguments.next().unwrap_or_default());
    }
    // The only place that chooses the TLS provider for the process. Fails only when called twice.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::from(anyhow::Error::from(error))),
    };
    let result = runtime.block_on(verbs::run(cli));
    // A console thread may still read the keyboard.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

/// Prints the failure and gives its exit code.
fn report(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Interrupted(text) => output::note(text),
        other => output::error(&other.to_string()),
    }
    ExitCode::from(failure.code())
}
