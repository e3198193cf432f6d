//! Becomes a driver, as `gantry` does: what the tests of this package start the driver with.

use std::process::ExitCode;

fn main() -> ExitCode {
    let description = std::env::args().nth(1).unwrap_or_default();
    driver::launch::launch_main(&description)
}
