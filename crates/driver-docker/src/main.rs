//! The driver as a program. The core starts it; it takes no arguments.

use std::process::ExitCode;

use driver_docker::DockerDriver;

fn main() -> ExitCode {
    driver::sdk::run(concat!("docker-", env!("CARGO_PKG_VERSION")), |_| {
        DockerDriver::default()
    })
}
