//! The reference driver as a program. Its argument may be a way to break the contract.
#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::process::ExitCode;

use driver_sim::{Breach, MemoryDriver};

fn main() -> ExitCode {
    let breach = match std::env::args().nth(1).map(|name| name.parse()).transpose() {
        Ok(breach) => breach,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            return ExitCode::from(64);
        }
    };
    match breach {
        Some(Breach::EndsAtStart) => {
            let _ = writeln!(std::io::stderr(), "no license file");
            return ExitCode::from(3);
        }
        Some(Breach::HangsAtStart) => hang(),
        Some(Breach::WritesGarbage) => {
            println!("Welcome to the driver!");
            hang();
        }
        Some(Breach::SocketElsewhere) => {
            println!("machine-driver|1|0|unix|/tmp/elsewhere.sock|build");
            hang();
        }
        Some(Breach::NoCookie) if std::env::var_os("MACHINE_DRIVER_COOKIE").is_none() => {
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    driver::sdk::run("build", |context| MemoryDriver::new(breach, context))
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
