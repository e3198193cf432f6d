//! Machines at the provider that no object knows.

use driver_sim::Trouble;
use kube::api::{Api, Patch, PatchParams};
use resources::gantry::{OrphanList, ProviderDriver, ProviderDriverStatus, ProviderMachine};
use resources::keys;
use serde_json::json;

use crate::world::{DRIVER, SCOPE, World};

async fn ask(world: &World, request: &str) {
    let api: Api<ProviderDriver> = Api::all(world.site.client());
    let patch = json!({"metadata": {"annotations": {keys::ORPHANS_REQUESTED: request}}});
    api.patch(DRIVER, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

fn list(status: &ProviderDriverStatus) -> Option<OrphanList> {
    status.scope(SCOPE)?.orphans.clone()
}

async fn answer(world: &World, request: &str) -> OrphanList {
    ask(world, request).await;
    let answered = |status: &ProviderDriverStatus| {
        list(status).is_some_and(|list| list.request.as_deref() == Some(request))
    };
    list(&world.driver_with(answered).await.status.unwrap()).unwrap()
}

#[tokio::test]
async fn an_orphan_is_named_and_confirmed_by_a_second_list() {
    let world = World::start().await;
    let controller = world.run();
    for name in ["prod-1", "prod-2", "prod-3", "prod-4", "prod-5"] {
        world.want(name).await;
        world.running(name).await;
    }
    let first = answer(&world, "1").await;
    assert_eq!((first.machines, first.orphans.len(), &first.error), (5, 0, &None));
    // Somebody takes the object away by force.
    controller.kill().await;
    world
        .site
        .merge::<ProviderMachine>("prod-2", json!({"metadata": {"finalizers": []}}))
        .await;
    world.delete("prod-2").await;
    world.site.gone::<ProviderMachine>("prod-2").await;
    let controller = world.run();
    let second = answer(&world, "2").await;
    let named: Vec<(&str, bool)> = second
        .orphans
        .iter()
        .map(|orphan| (orphan.name.as_str(), orphan.confirmed))
        .collect();
    assert_eq!(named, [("prod-2", false)]);
    assert_eq!(second.orphans[0].machine_uid, "uid-prod-2");

    world.provider.set_trouble(Some(Trouble::Unavailable));
    let failed = answer(&world, "3").await;
    assert!(
        failed
            .error
            .as_ref()
            .is_some_and(|error| error.contains("UNREACHABLE")),
        "{failed:?}"
    );
    assert_eq!(failed.orphans, second.orphans, "what is not listed is not gone");
    assert_eq!(failed.listed_at, second.listed_at);
    world.provider.set_trouble(None);
    let mut number = 4;
    loop {
        let list = answer(&world, &number.to_string()).await;
        assert_eq!(list.orphans.len(), 1);
        if list.orphans[0].confirmed {
            break;
        }
        number += 1;
        assert!(number < 1000, "it is never confirmed");
    }
    assert_eq!(world.objects("prod-2").len(), 1, "a list deletes nothing");
    controller.kill().await;
    world.stop().await;
}
