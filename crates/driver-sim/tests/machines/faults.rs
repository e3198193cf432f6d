//! Providers and drivers that are slow, silent, down or gone, and credentials that are wrong.

use std::sync::Arc;
use std::time::Duration;

use driver::conformance::{Hook, PeerHooks as _};
use driver_sim::{Breach, MemoryHooks, MemoryProvider, Trouble};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use resources::gantry::{
    ProviderDriverStatus, ProviderMachine, ProviderMachinePhase, ProviderMachineStatus, ProviderScopeStatus,
};

use crate::world::{World, configuration, until};

async fn provider() -> Arc<MemoryProvider> {
    Arc::new(MemoryProvider::start().await.expect("a provider"))
}

async fn act(world: &World, hook: Hook<'_>) {
    MemoryHooks(world.provider.clone()).call(hook).await.unwrap();
}

fn signal(world: &World, signal: Signal) {
    let pid = world.supervisor.status().pid.expect("it runs");
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[tokio::test]
async fn a_provider_that_is_down_is_waited_for() {
    let world = World::start().await;
    world.provider.set_trouble(Some(Trouble::Unavailable));
    let controller = world.run();
    world.want("prod-1").await;
    let status = world.reason("prod-1", "UNREACHABLE").await;
    assert_ne!(status.phase, ProviderMachinePhase::Failed);
    let fault = status.plugin.unwrap().fault.unwrap();
    assert!(fault.message.contains("503"), "{fault:?}");
    world.site.event("ProviderMachine", "prod-1", "DriverFault").await;
    world.provider.set_trouble(None);
    let status = world.running("prod-1").await;
    assert_eq!(status.plugin.unwrap().fault, None);
    assert_eq!(world.objects("prod-1").len(), 1);

    world.provider.set_trouble(Some(Trouble::Unavailable));
    let status = world.reason("prod-1", "UNREACHABLE").await;
    assert_eq!(
        status.phase,
        ProviderMachinePhase::Running,
        "it is not known to be gone"
    );
    world.delete("prod-1").await;
    world
        .status_with("prod-1", |status| status.phase == ProviderMachinePhase::Deleting)
        .await;
    world.reason("prod-1", "DeleteMachine: UNREACHABLE").await;
    world.provider.set_trouble(None);
    world.site.gone::<ProviderMachine>("prod-1").await;
    assert!(world.objects("prod-1").is_empty());
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_refused_credential_pauses_its_scope_until_it_changes() {
    let world = World::start().await;
    world.set_password("fake-password-of-before").await;
    let controller = world.run();
    world.want("prod-1").await;
    world
        .reason("prod-1", "scope lab of driver memory is paused: AUTH")
        .await;
    // Whoever lists its machines has been refused too, or has seen the pause.
    let refused = |status: &ProviderDriverStatus| {
        let mut scopes = status.scopes.iter();
        let listed =
            |scope: &ProviderScopeStatus| scope.orphans.as_ref().is_some_and(|list| list.error.is_some());
        scopes.any(|scope| scope.paused.is_some() && listed(scope))
    };
    let driver = world.driver_with(refused).await;
    assert!(
        !format!("{driver:?}").contains("fake-password"),
        "the password is shown"
    );
    let logins = world.provider.logins();
    for number in 2..6 {
        let name = format!("prod-{number}");
        world.want(&name).await;
        world.reason(&name, "is paused: AUTH").await;
    }
    assert_eq!(
        world.provider.logins(),
        logins,
        "a refused password is tried again"
    );
    controller.kill().await;
    // It is known after a restart, too.
    let controller = world.run();
    world.want("prod-6").await;
    world
        .reason("prod-6", "put the right credential into Secret memory-credential")
        .await;
    assert_eq!(
        world.provider.logins(),
        logins,
        "a refused password is tried again after a restart"
    );
    world.set_password(driver_sim::PASSWORD).await;
    for number in 1..7 {
        world.running(&format!("prod-{number}")).await;
    }
    world
        .driver_with(|status| status.scopes.iter().all(|scope| scope.paused.is_none()))
        .await;
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_silent_driver_ends_in_a_question_and_not_in_a_second_machine() {
    let world = World::with(provider().await, None, |settings| {
        settings.call_limit = Duration::from_millis(700);
        settings.health_failures = u32::MAX;
    })
    .await;
    world.ready().await;
    let controller = world.run();
    // What is asked for is done, and the answer comes too late.
    world
        .provider
        .set_trouble(Some(Trouble::Slow(Duration::from_millis(400))));
    world.want("prod-1").await;
    let unknown = |status: &ProviderMachineStatus| {
        status
            .plugin
            .as_ref()
            .is_some_and(|plugin| plugin.outcome_unknown)
    };
    world.status_with("prod-1", unknown).await;
    signal(&world, Signal::SIGSTOP);
    world.provider.set_trouble(None);
    world
        .status_with("prod-1", |status| {
            status.plugin.as_ref().is_some_and(|plugin| plugin.failures > 2)
        })
        .await;
    signal(&world, Signal::SIGCONT);
    world.running("prod-1").await;
    assert_eq!(world.objects("prod-1").len(), 1);
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_driver_that_is_killed_in_a_call_makes_no_second_machine() {
    let world = World::start().await;
    world.ready().await;
    let controller = world.run();
    world
        .provider
        .set_trouble(Some(Trouble::Slow(Duration::from_millis(300))));
    world.want("prod-1").await;
    let mut asked = 0;
    for deaths in 1..4 {
        // Each process logs in once, with its first call.
        until("a call", || world.provider.logins() > asked).await;
        asked = world.provider.logins();
        signal(&world, Signal::SIGKILL);
        world
            .supervisor
            .wait(|status| status.restarts >= deaths && status.pid.is_some())
            .await
            .expect("it is started again");
    }
    world.provider.set_trouble(None);
    world.running("prod-1").await;
    assert_eq!(world.objects("prod-1").len(), 1);
    world
        .driver_with(|status| status.phase == "ready" && status.restarts >= 3)
        .await;
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_driver_that_always_dies_harms_nothing_and_is_replaced() {
    let world = World::with(provider().await, Some(Breach::EndsInCall), |_| {}).await;
    world.ready().await;
    let controller = world.run();
    world.want("prod-1").await;
    world
        .status_with("prod-1", |status| {
            status.plugin.as_ref().is_some_and(|plugin| plugin.attempts > 2)
        })
        .await;
    assert!(world.objects("prod-1").is_empty());
    // It may be between two processes.
    while world.supervisor.replace(configuration(None)).await.is_err() {}
    world.running("prod-1").await;
    assert_eq!(world.objects("prod-1").len(), 1);
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn somebody_elses_machine_of_the_same_name_is_left_alone() {
    let world = World::start().await;
    act(&world, Hook::CreateForeign("prod-1")).await;
    let controller = world.run();
    world.want("prod-1").await;
    let status = world
        .status_with("prod-1", |status| status.phase == ProviderMachinePhase::Failed)
        .await;
    assert!(status.reason.unwrap().contains("FOREIGN"));
    world.delete("prod-1").await;
    world.site.gone::<ProviderMachine>("prod-1").await;
    assert_eq!(world.provider.objects().len(), 1, "the stranger's");
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_machine_that_is_gone_has_failed_and_one_that_is_off_has_not() {
    let world = World::start().await;
    let controller = world.run();
    world.want("prod-1").await;
    world.running("prod-1").await;
    act(&world, Hook::PowerOff("prod-1")).await;
    let status = world.reason("prod-1", "switched off").await;
    assert_eq!(status.phase, ProviderMachinePhase::Running);
    assert!(
        status.addresses.len() > 1,
        "it keeps its address: {:?}",
        status.addresses
    );
    act(&world, Hook::Remove("prod-1")).await;
    world.reason("prod-1", "says that the machine is gone").await;
    let status = world
        .status_with("prod-1", |status| status.phase == ProviderMachinePhase::Failed)
        .await;
    assert_eq!(status.plugin.unwrap().conditions[0].reason, "Gone");
    world.delete("prod-1").await;
    world.site.gone::<ProviderMachine>("prod-1").await;
    controller.kill().await;
    world.stop().await;
}

#[tokio::test]
async fn a_spec_that_does_not_fit_names_its_field_and_is_tried_when_it_changes() {
    let world = World::start().await;
    let controller = world.run();
    world
        .want_with("prod-1", serde_json::json!({"settings": {"tier": "golden"}}))
        .await;
    let status = world.reason("prod-1", "INVALID_SPEC").await;
    assert!(
        status.reason.as_ref().unwrap().contains("tier"),
        "{:?}",
        status.reason
    );
    let change = serde_json::json!({"spec": {"plugin": {"settings": {"tier": "plain"}}}});
    world.site.merge::<ProviderMachine>("prod-1", change).await;
    world.running("prod-1").await;
    controller.kill().await;
    world.stop().await;
}
