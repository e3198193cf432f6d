//! Settings of machines in the cluster's documents: a mirror's password reaches machines with their bootstrap data, and what
//! machines are made of is rolled out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use resources::anywhere::{OidcConfig, OidcConfigSpec, RequiredClaim};
use resources::gantry::PlanClass;
use serde_json::{Value, json};

use crate::life::made;
use crate::world::World;

const PASSWORD: &str = "fake-mirror-password";

/// The file of a machine's bootstrap data whose path ends so.
async fn bootstrap_file(world: &World, secret: &str, end: &str) -> Option<String> {
    let secret: KubeSecret = world.api().get(secret).await.ok()?;
    let document: Value = serde_json::from_slice(&secret.data?.get("value")?.0).ok()?;
    let files = document["files"].as_array()?;
    let file = files
        .iter()
        .find(|file| file["path"].as_str().is_some_and(|path| path.ends_with(end)))?;
    let content = STANDARD.decode(file["contentBase64"].as_str()?).ok()?;
    String::from_utf8(content).ok()
}

/// Until the cluster's failure says so.
async fn refuses(world: &World, part: &str) {
    let says = async |world: &World| {
        let status = world.cluster().await.unwrap().status.unwrap_or_default();
        status
            .failure_message
            .is_some_and(|message| message.contains(part))
    };
    world.drive(part, says).await;
}

#[tokio::test]
async fn a_mirror_s_password_comes_from_its_secret_and_goes_with_the_bootstrap_data() {
    let world = World::new().await;
    world.apply_documents().await;
    let mirror = json!({ "endpoint": "mirror.example", "authenticate": true });
    world
        .edit(json!({ "spec": { "registryMirrorConfiguration": mirror } }))
        .await;
    refuses(
        &world,
        "no Secret registry-credentials; make it: kubectl -n eksa-system",
    )
    .await;
    assert!(world.machines().await.is_empty());
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "registry-credentials" },
        "stringData": { "username": "puller" },
    });
    let parsed = |secret: &Value| serde_json::from_value::<KubeSecret>(secret.clone()).unwrap();
    world.create(&parsed(&secret)).await;
    refuses(&world, "has no password").await;
    let secrets = world.api::<KubeSecret>();
    secrets
        .delete("registry-credentials", &DeleteParams::default())
        .await
        .unwrap();
    secret["stringData"]["password"] = json!(PASSWORD);
    world.create(&parsed(&secret)).await;
    let delivered = async |world: &World| {
        for secret in world.secrets().await {
            if secret.ends_with("-bootstrap") {
                let file = bootstrap_file(world, &secret, "/containerd.toml.in")
                    .await
                    .unwrap();
                assert!(file.contains(PASSWORD) && file.contains("puller"), "{file}");
                return true;
            }
        }
        false
    };
    world.drive("bootstrap data", delivered).await;
    world.drive_to_ready().await;
    for machine in world.machines().await {
        let text = serde_json::to_string(&machine).unwrap();
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

/// Approves the upgrade that an edit makes; the machines of that pool are exchanged, and no others.
async fn rolls_out(world: &World, edit: Value, pools: &[&str]) {
    let before = world.machines().await;
    world.edit(edit).await;
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("waits for approval"))
    };
    world.drive("waiting for approval", waits).await;
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Upgrade);
    world.approve(&plan.name_any()).await;
    let done = async |world: &World| {
        let now: Vec<String> = world
            .machines()
            .await
            .iter()
            .map(kube::ResourceExt::name_any)
            .collect();
        let right = before.iter().all(|machine| {
            let goes = pools.contains(&machine.spec.pool.as_str());
            now.contains(&machine.name_any()) != goes
        });
        right && now.len() == before.len() && world.is_at_rest().await
    };
    world.drive(&format!("exchange of {pools:?}"), done).await;
    world.drive_to_ready().await;
}

#[tokio::test]
async fn settings_are_rolled_out_to_the_machines_that_are_made_of_them() {
    let world = made(1).await;
    let cluster = world.cluster().await.unwrap();
    let mut groups = serde_json::to_value(&cluster.spec.worker_node_group_configurations).unwrap();
    groups[0]["kubeletConfiguration"] = json!({ "maxPods": 50 });
    let edit = json!({ "spec": { "workerNodeGroupConfigurations": groups } });
    rolls_out(&world, edit, &["md-0"]).await;
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n";
    let edit = json!({ "spec": { "controlPlaneConfiguration": { "auditPolicyContent": policy } } });
    rolls_out(&world, edit, &["cp"]).await;
    let proxy = json!({ "httpProxy": "proxy.example:3128", "httpsProxy": "proxy.example:3128" });
    rolls_out(
        &world,
        json!({ "spec": { "proxyConfiguration": proxy } }),
        &["cp", "md-0"],
    )
    .await;
}

/// Arguments of kube-apiserver in the configuration that machines which join read, and in that of a machine which starts a cluster.
#[tokio::test]
async fn an_identity_provider_is_part_of_the_api_server_s_arguments() {
    let world = World::new().await;
    world.apply_documents().await;
    let reference = json!([{ "kind": "OIDCConfig", "name": "login" }]);
    world
        .edit(json!({ "spec": { "identityProviderRefs": reference } }))
        .await;
    refuses(&world, "OIDCConfig login is missing; apply it").await;
    let spec = OidcConfigSpec {
        client_id: "demo".to_owned(),
        issuer_url: "https://login.example".to_owned(),
        required_claims: vec![RequiredClaim {
            claim: "team".to_owned(),
            value: "rack".to_owned(),
        }],
        ..OidcConfigSpec::default()
    };
    world.create(&OidcConfig::new("login", spec)).await;
    let delivered = async |world: &World| {
        for secret in world.secrets().await {
            if secret.ends_with("-bootstrap") {
                let file = bootstrap_file(world, &secret, "/kubeadm.yaml").await.unwrap();
                for argument in [
                    "name: oidc-client-id\n    value: demo\n",
                    "name: oidc-issuer-url\n    value: https://login.example\n",
                    "name: oidc-required-claim\n    value: team=rack\n",
                ] {
                    assert!(file.contains(argument), "{file}");
                }
                return true;
            }
        }
        false
    };
    world.drive("bootstrap data", delivered).await;
    world.drive_to_ready().await;
    // A provider with another audience is another API server.
    let before = world.control_planes().await;
    let providers = world.api::<OidcConfig>();
    let patch = Patch::Merge(json!({ "spec": { "clientId": "other" } }));
    providers
        .patch("login", &PatchParams::default(), &patch)
        .await
        .unwrap();
    rolls_out(&world, json!({}), &["cp"]).await;
    assert_ne!(world.control_planes().await, before);
}
