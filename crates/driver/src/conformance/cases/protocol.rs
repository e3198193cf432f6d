//! P: the process and its protocol.

use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use tokio::process::Command;
use tokio::time::timeout;
use tonic::{Code, Request, Status};

use crate::conformance::case::{Case, case};
use crate::conformance::driven::Driven;
use crate::conformance::order::Order;
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, Problem, ensure};
use crate::handshake::{COOKIE, COOKIE_VARIABLE, MINORS, MINORS_VARIABLE, SOCKET_DIR_VARIABLE};
use crate::v1::{
    Capability, DeleteGroupRequest, DrainRequest, EnsureGroupRequest, EnsureImageRequest, GetInfoRequest,
    ImportMachineRequest, PlanUpdateRequest, Power, ReadConsoleRequest, UpdateMachineRequest,
    WatchMachinesRequest,
};

pub(super) const CASES: &[Case] = &[
    case!(
        "P1",
        "starts, says who it is, and ends when it is told to",
        starts_and_ends
    ),
    case!(
        "P2",
        "refuses to start without the cookie",
        refuses_without_cookie
    ),
    case!(
        "P3",
        "refuses to start with no common minor version",
        refuses_minors
    ),
    case!(
        "P6",
        "is SERVING, and no longer so when it drains",
        health_follows_drain
    ),
    case!("P9", "answers 64 calls at once", parallel_calls),
    case!("P10", "survives a message that is too large", large_message),
    case!(
        "P11",
        "answers UNIMPLEMENTED to what it does not claim",
        undeclared_capabilities
    ),
    case!("P12", "says the same of itself each time", stable_info),
    case!(
        "P13",
        "writes nothing to standard output after the handshake",
        silent_output
    ),
    case!("P14", "takes no call after Drain", refuses_after_drain),
];

/// The contract says two seconds; more is granted to a machine that is busy.
const END: Duration = Duration::from_secs(10);

async fn starts_and_ends(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let name = &driven.info().name;
    let label = !name.is_empty() && name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-');
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    ensure!(label && letters, "its name {name:?} is no DNS label");
    ensure!(
        driven.info().state_version >= 1,
        "its state_version is 0 and begins at 1"
    );
    ensure!(driven.info().limits.is_some(), "it names no limits");
    let scheme = &driven.info().provider_id_scheme;
    ensure!(
        !scheme.is_empty() && !scheme.contains(':'),
        "its provider_id_scheme is {scheme:?}"
    );
    let mut process = driven.process;
    process.close_lifeline();
    let ended = timeout(END, process.wait()).await;
    ensure!(
        ended.is_ok(),
        "it still runs {} s after the end of its standard input",
        END.as_secs()
    );
    Ok(())
}

/// Starts the program as a person would, and returns its exit status.
async fn exit_status(
    subject: &Subject,
    environment: &[(&str, &str)],
) -> Result<std::process::ExitStatus, Problem> {
    let mut child = Command::new(&subject.driver.program)
        .args(&subject.driver.arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{}: {error}", subject.driver.program.display()))?;
    match timeout(END, child.wait()).await {
        Ok(status) => Ok(status.map_err(|error| error.to_string())?),
        Err(_) => Err(format!("it still runs after {} s", END.as_secs()).into()),
    }
}

async fn refuses_without_cookie(subject: &Subject) -> Checked {
    let directory = subject.settings.runtime_dir.to_string_lossy().into_owned();
    let status = exit_status(
        subject,
        &[(SOCKET_DIR_VARIABLE, &directory), (MINORS_VARIABLE, "0")],
    )
    .await?;
    ensure!(!status.success(), "it ended with {status}, as if all were well");
    Ok(())
}

async fn refuses_minors(subject: &Subject) -> Checked {
    let directory = subject.settings.runtime_dir.to_string_lossy().into_owned();
    let environment = [
        (COOKIE_VARIABLE, COOKIE),
        (SOCKET_DIR_VARIABLE, directory.as_str()),
        (MINORS_VARIABLE, "4000000000"),
    ];
    let status = exit_status(subject, &environment).await?;
    ensure!(!status.success(), "it ended with {status}, as if all were well");
    Ok(())
}

async fn health_follows_drain(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    driven.process.health(END).await?;
    drain(&driven).await?;
    let health = driven.process.health(END).await;
    ensure!(health.is_err(), "it is still SERVING after Drain");
    Ok(())
}

async fn drain(driven: &Driven) -> Result<u32, Status> {
    let grace = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    let answer = driven.plugin().drain(DrainRequest { grace }).await?;
    Ok(answer.into_inner().abandoned)
}

async fn parallel_calls(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let order = subject.order();
    let answers = join_all((0..64).map(|_| driven.get(&order))).await;
    for answer in answers {
        answer?;
    }
    Ok(())
}

async fn large_message(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut request = subject.order().get();
    request.driver_state = vec![0; 64 << 20];
    let answer = driven.machines().get_machine(request).await;
    ensure!(answer.is_err(), "it took a message of 64 MiB");
    driven.process.health(END).await?;
    Ok(())
}

async fn undeclared_capabilities(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let order = subject.order();
    undeclared_calls(subject, &driven, &order).await?;
    undeclared_updates(subject, &driven, &order).await?;
    let (scope, owner) = (Some(order.scope), Some(order.owner));
    let mut client = driven.machines();
    if lacks(subject, Capability::Watch) {
        let request = WatchMachinesRequest {
            scope: scope.clone(),
            owner: owner.clone(),
        };
        unimplemented(
            "WatchMachines",
            first_of(client.watch_machines(request).await).await,
        )?;
    }
    if lacks(subject, Capability::Console) {
        let request = ReadConsoleRequest {
            scope,
            owner,
            ..ReadConsoleRequest::default()
        };
        unimplemented("ReadConsole", first_of(client.read_console(request).await).await)?;
    }
    Ok(())
}

fn lacks(subject: &Subject, capability: Capability) -> bool {
    !subject.info.capabilities.contains(&capability.into())
}

fn unimplemented<T>(call: &str, answer: Result<T, Status>) -> Checked {
    let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
    ensure!(
        code == Code::Unimplemented,
        "{call} answers {code:?} although its capability is not claimed"
    );
    Ok(())
}

async fn undeclared_calls(subject: &Subject, driven: &Driven, order: &Order) -> Checked {
    let mut client = driven.machines();
    let (scope, owner) = (Some(order.scope.clone()), Some(order.owner.clone()));
    if lacks(subject, Capability::ImageImport) {
        let request = EnsureImageRequest {
            scope: scope.clone(),
            ..EnsureImageRequest::default()
        };
        unimplemented("EnsureImage", client.ensure_image(request).await)?;
    }
    if lacks(subject, Capability::Groups) {
        let request = EnsureGroupRequest {
            scope: scope.clone(),
            owner: owner.clone(),
            ..EnsureGroupRequest::default()
        };
        unimplemented("EnsureGroup", client.ensure_group(request).await)?;
        let request = DeleteGroupRequest {
            scope: scope.clone(),
            owner: owner.clone(),
            ..DeleteGroupRequest::default()
        };
        unimplemented("DeleteGroup", client.delete_group(request).await)?;
    }
    if lacks(subject, Capability::PowerControl) {
        unimplemented("SetPower", client.set_power(order.power(Power::Off)).await)?;
    }
    if lacks(subject, Capability::Import) {
        let request = ImportMachineRequest {
            scope,
            owner,
            ..ImportMachineRequest::default()
        };
        unimplemented("ImportMachine", client.import_machine(request).await)?;
    }
    Ok(())
}

async fn undeclared_updates(subject: &Subject, driven: &Driven, order: &Order) -> Checked {
    if !lacks(subject, Capability::UpdateInPlace) {
        return Ok(());
    }
    let mut client = driven.machines();
    let request = PlanUpdateRequest {
        scope: Some(order.scope.clone()),
        present: Some(order.spec.clone()),
        wanted: Some(order.spec.clone()),
    };
    unimplemented("PlanUpdate", client.plan_update(request).await)?;
    let request = UpdateMachineRequest {
        scope: Some(order.scope.clone()),
        owner: Some(order.owner.clone()),
        spec: Some(order.spec.clone()),
        ..UpdateMachineRequest::default()
    };
    unimplemented("UpdateMachine", client.update_machine(request).await)
}

/// The error of a stream may come with its first message.
async fn first_of<T>(answer: Result<tonic::Response<tonic::Streaming<T>>, Status>) -> Result<(), Status> {
    answer?.into_inner().message().await.map(drop)
}

async fn stable_info(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let request = || {
        Request::new(GetInfoRequest {
            core_version: String::new(),
            protocol_minors: MINORS.to_vec(),
        })
    };
    let mut first = driven.plugin().get_info(request()).await?.into_inner();
    let mut second = driven.plugin().get_info(request()).await?.into_inner();
    first.last_error.clear();
    second.last_error.clear();
    ensure!(first == second, "it said first {first:?}, then {second:?}");
    Ok(())
}

async fn silent_output(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    driven.delete(&mut order).await?;
    let wrote = driven.process.end_and_look(END).await;
    ensure!(!wrote, "it has written to standard output after the handshake");
    Ok(())
}

async fn refuses_after_drain(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let abandoned = drain(&driven).await?;
    ensure!(
        abandoned == 0,
        "it abandoned {abandoned} calls although there were none"
    );
    match driven.get(&subject.order()).await {
        Err(status) if status.code() == Code::Unavailable => Ok(()),
        Err(status) => Err(format!(
            "GetMachine after Drain answers {:?} and not UNAVAILABLE",
            status.code()
        )
        .into()),
        Ok(_) => Err("it takes calls after Drain".into()),
    }
}
