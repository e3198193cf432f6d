//! A virtual rack by hand: `rack up|status|down|console|run|power|supervise`. For trying the crate without the CLI.

#![allow(clippy::print_stdout)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bmc::{Bmc as _, BootDevice, BootMode, BootOverride, Connection, PowerAction, Redfish};
use lab::{Accelerator, DownOptions, Firmware, Progress, UpOptions};
use tokio_util::sync::CancellationToken;

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["run", ..] = words.as_slice() {
        return Ok(lab::run_in_appliance(None, &arguments[1..], None)?);
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(&words))
}

async fn run(words: &[&str]) -> anyhow::Result<()> {
    match words {
        ["up", rest @ ..] => up(rest).await,
        ["supervise", dir] => Ok(lab::supervise(Path::new(dir)).await?),
        ["status"] => {
            println!("{}", serde_json::to_string_pretty(&lab::status(None, None)?)?);
            Ok(())
        }
        ["down"] => {
            println!("rack {} is gone", lab::down(&DownOptions::default()).await?);
            Ok(())
        }
        ["console", name] => Ok(lab::console(None, name, None)?),
        // Inside the site's namespace: rack run rack power NAME on|off|...|pxe
        ["power", name, action] => power(name, action).await,
        _ => bail!(
            "usage: rack up [SEED] [uefi|bios] [N] [detach] [netboot-first] | status | down | console NAME | run CMD | power NAME ACTION"
        ),
    }
}

async fn up(words: &[&str]) -> anyhow::Result<()> {
    let mut options = UpOptions {
        capture: Some(u16::MAX),
        accelerator: Accelerator::Auto,
        ..UpOptions::default()
    };
    for word in words {
        match *word {
            "uefi" => options.firmware = Firmware::Uefi,
            "bios" => options.firmware = Firmware::Bios,
            "detach" => options.detach = true,
            "netboot-first" => options.netboot_first = true,
            number if number.parse::<usize>().is_ok() => options.machines = number.parse()?,
            seed => options.seed = Some(seed.to_owned()),
        }
    }
    let own = std::env::current_exe()?.display().to_string();
    options.supervisor = vec![own, "supervise".to_owned()];
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let mut show = |progress| match progress {
        Progress::Step(step) => println!("- {step}"),
        Progress::Ready(rack) => println!("- ready: {} ({})", rack.paths.dir.display(), rack.accelerator),
    };
    lab::up(&options, cancel, &mut show).await?;
    Ok(())
}

async fn power(name: &str, action: &str) -> anyhow::Result<()> {
    let (plan, _, _) = lab::find(None, None)?;
    let machine = plan
        .machine(name)
        .or(plan.machines.first())
        .context("no machine")?;
    let address = SocketAddr::from((machine.bmc_ip, 443));
    let client = Redfish::new(Connection::insecure(
        &address.ip().to_string(),
        &machine.bmc_user,
        machine.bmc_password.clone(),
    ))?;
    let do_it = |action| client.power(action);
    match action {
        "on" => do_it(PowerAction::On).await?,
        "off" => do_it(PowerAction::Off).await?,
        "soft" => do_it(PowerAction::Soft).await?,
        "cycle" => do_it(PowerAction::Cycle).await?,
        "reset" => do_it(PowerAction::Reset).await?,
        "pxe" => {
            client
                .set_boot(BootOverride::once(BootDevice::Pxe, BootMode::Uefi))
                .await?
        }
        "disk" => {
            client
                .set_boot(BootOverride::once(BootDevice::Disk, BootMode::Uefi))
                .await?
        }
        "inventory" => println!("{:#?}", client.inventory().await?),
        "state" => {}
        other => bail!("no action {other}"),
    }
    tokio::time::timeout(Duration::from_secs(5), async {
        println!("{}", client.power_state().await?);
        anyhow::Ok(())
    })
    .await?
}
