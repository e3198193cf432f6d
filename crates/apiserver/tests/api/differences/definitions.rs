//! CustomResourceDefinitions: names, groups, versions, conversion, and watches that end with them.

use serde_json::{Value, json};

use super::Case;
use super::side::{Answer, Side};
use super::transcript::{Transcript, conditions};

pub(super) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "definition-groups",
            run: |side| Box::pin(groups(side)),
        },
        Case {
            name: "definition-names",
            run: |side| Box::pin(names(side)),
        },
        Case {
            name: "definition-conversion",
            run: |side| Box::pin(conversion(side)),
        },
        Case {
            name: "definition-versions",
            run: |side| Box::pin(versions(side)),
        },
        Case {
            name: "definition-watches",
            run: |side| Box::pin(watches(side)),
        },
    ]
}

/// A definition of a cluster-scoped kind that keeps every field.
#[derive(Debug, Clone)]
pub(super) struct Definition(pub(super) Value);

impl Definition {
    pub(super) fn new(group: &str, plural: &str, kind: &str) -> Definition {
        Definition(
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Cluster", "names": {"plural": plural, "kind": kind},
                "versions": [version("v1", true)]}}),
        )
    }

    /// With the status subresource.
    pub(super) fn status(mut self) -> Definition {
        self.0["spec"]["versions"][0]["subresources"] = json!({"status": {}});
        self
    }

    /// With the subresources status and scale, whose paths these are.
    pub(super) fn scale(mut self, paths: Value) -> Definition {
        let version = &mut self.0["spec"]["versions"][0];
        version["subresources"] = json!({"status": {}, "scale": paths});
        let kept = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        version["schema"]["openAPIV3Schema"]["properties"]["status"] = kept;
        self
    }

    fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn itself(&self) -> String {
        format!("{DEFINITIONS}/{}", self.text("/metadata/name"))
    }

    /// Path of the objects.
    pub(super) fn path(&self, version: &str) -> String {
        format!(
            "/apis/{}/{version}/{}",
            self.text("/spec/group"),
            self.text("/spec/names/plural")
        )
    }

    /// An object of the kind.
    pub(super) fn object(&self, version: &str, name: &str) -> Value {
        json!({"apiVersion": format!("{}/{version}", self.text("/spec/group")), "kind": self.text("/spec/names/kind"),
            "metadata": {"name": name}, "spec": {"a": 1}})
    }
}

fn version(name: &str, storage: bool) -> Value {
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object",
        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}})
}

/// Makes a definition and waits until its kind is served.
pub(super) async fn establish(side: &Side, definition: &Definition) {
    let made = side.post(DEFINITIONS, &definition.0).await;
    assert_eq!(made.code, 201, "{made:?}");
    assert!(
        side.until(&definition.path("v1"), |answer| answer.code == 200)
            .await
    );
}

fn has(kind: &'static str, status: &'static str) -> impl Fn(&Answer) -> bool {
    move |answer| conditions(&answer.body)[kind]["status"] == status
}

async fn groups(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let approved = |mut definition: Definition, text: &str| {
        definition.0["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": text});
        definition
    };
    let leases = Definition::new("coordination.k8s.io", "leases", "Lease");
    for (step, definition) in [
        ("protected", Definition::new("gantry.k8s.io", "things", "Thing")),
        (
            "protected domain",
            Definition::new("gantry.kubernetes.io", "things", "Thing"),
        ),
        (
            "not protected",
            Definition::new("gantry.x-k8s.io", "things", "Thing"),
        ),
        (
            "approval is no URL",
            approved(Definition::new("noturl.k8s.io", "things", "Thing"), "yes"),
        ),
        (
            "approved",
            approved(
                Definition::new("approved.k8s.io", "things", "Thing"),
                "https://github.com/a/b/pull/1",
            ),
        ),
        (
            "unapproved",
            approved(
                Definition::new("unapproved.k8s.io", "things", "Thing"),
                "unapproved, experimental",
            ),
        ),
        ("built-in kind", leases.clone()),
    ] {
        seen.note(step, side.post(DEFINITIONS, &definition.0).await.verdict());
        if step.contains("protected") || step.contains("approv") || step == "built-in kind" {
            let answer = side
                .post(&format!("{DEFINITIONS}?dryRun=All"), &definition.0)
                .await;
            seen.note(format!("{step}, causes"), answer.seen()["causes"].clone());
        }
    }
    // A definition over a built-in kind never takes the built-in's objects along.
    let maps = side.namespace("leases").await;
    let path = maps
        .replace("/api/v1/", "/apis/coordination.k8s.io/v1/")
        .replace("configmaps", "leases");
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "kept"}});
    side.post(&path, &lease).await;
    let over = approved(leases, "unapproved, a test");
    seen.note(
        "over a built-in kind",
        side.post(DEFINITIONS, &over.0).await.verdict(),
    );
    side.delete(&over.itself()).await;
    seen.note("the definition goes", side.gone(&over.itself()).await);
    seen.note("the lease stays", side.get(&format!("{path}/kept")).await.code);
    seen
}

async fn names(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let first = Definition::new("names.example.dev", "firsts", "Thing");
    establish(&side, &first).await;
    let mut short = first.clone();
    short.0 = side.get(&first.itself()).await.body;
    short.0["spec"]["names"]["shortNames"] = json!(["th"]);
    seen.note("a short name", side.put(&first.itself(), &short.0).await.code);
    let accepted = |answer: &Answer| answer.body["status"]["acceptedNames"]["shortNames"] == json!(["th"]);
    seen.note("it is accepted", side.until(&first.itself(), accepted).await);
    let kind = Definition::new("names.example.dev", "seconds", "Thing");
    let mut list = Definition::new("names.example.dev", "thirds", "Third");
    list.0["spec"]["names"]["listKind"] = "ThingList".into();
    let mut singular = Definition::new("names.example.dev", "fourths", "Fourth");
    singular.0["spec"]["names"]["singular"] = "firsts".into();
    let mut shorts = Definition::new("names.example.dev", "fifths", "Fifth");
    shorts.0["spec"]["names"]["shortNames"] = json!(["th", "fi"]);
    for (step, definition) in [
        ("kind", &kind),
        ("list kind", &list),
        ("singular", &singular),
        ("short name", &shorts),
    ] {
        seen.note(
            format!("same {step}"),
            side.post(DEFINITIONS, &definition.0).await.verdict(),
        );
        side.until(&definition.itself(), has("NamesAccepted", "False"))
            .await;
        let found = side.get(&definition.itself()).await;
        seen.note(format!("same {step}, conditions"), conditions(&found.body));
        seen.note(
            format!("same {step}, names"),
            found.body["status"]["acceptedNames"].clone(),
        );
        seen.note(
            format!("same {step}, served"),
            side.get(&definition.path("v1")).await.code,
        );
    }
    let other = Definition::new("names.other.dev", "firsts", "Thing");
    establish(&side, &other).await;
    seen.note("another group", side.get(&other.path("v1")).await.code);
    // Two definitions wait for the list kind, and either may get it: one is enough.
    side.delete(&list.itself()).await;
    side.gone(&list.itself()).await;
    side.delete(&first.itself()).await;
    seen.note("the first goes", side.gone(&first.itself()).await);
    for (step, definition) in [("kind", &kind), ("short name", &shorts)] {
        let served = side
            .until(&definition.path("v1"), |answer| answer.code == 200)
            .await;
        seen.note(format!("then the second {step} is served"), served);
        seen.note(
            format!("its {step} conditions"),
            conditions(&side.get(&definition.itself()).await.body),
        );
    }
    seen
}

async fn conversion(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let mut hook = Definition::new("hook.example.dev", "hooks", "Hook");
    hook.0["spec"]["versions"] = json!([version("v1", true), version("v2", false)]);
    hook.0["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:9/convert"}}});
    seen.note("webhook", side.post(DEFINITIONS, &hook.0).await.verdict());
    let mut none = Definition::new("nohook.example.dev", "hooks", "Hook");
    none.0["spec"]["conversion"] = json!({"strategy": "None"});
    seen.note("none", side.post(DEFINITIONS, &none.0).await.verdict());
    let mut unknown = Definition::new("badhook.example.dev", "hooks", "Hook");
    unknown.0["spec"]["conversion"] = json!({"strategy": "Magic"});
    seen.note("unknown", side.post(DEFINITIONS, &unknown.0).await.seen());
    seen
}

async fn versions(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let mut definition = Definition::new("moved.example.dev", "moves", "Move");
    definition.0["spec"]["versions"] = json!([version("v1", true), version("v2", false)]);
    establish(&side, &definition).await;
    side.post(&definition.path("v1"), &definition.object("v1", "old"))
        .await;
    let mut moved = side.get(&definition.itself()).await.body;
    moved["spec"]["versions"] = json!([version("v1", false), version("v2", true)]);
    seen.note(
        "the storage version moves",
        side.put(&definition.itself(), &moved).await.code,
    );
    let stored = |answer: &Answer| answer.body["status"]["storedVersions"] == json!(["v1", "v2"]);
    seen.note("both are stored", side.until(&definition.itself(), stored).await);
    for version in ["v1", "v2"] {
        seen.note(
            format!("get {version}"),
            side.get(&format!("{}/old", definition.path(version)))
                .await
                .seen(),
        );
        seen.note(
            format!("list {version}"),
            side.get(&definition.path(version)).await.seen(),
        );
    }
    let mut removed = side.get(&definition.itself()).await.body;
    removed["spec"]["versions"] = json!([version("v2", true)]);
    seen.note(
        "a stored version is removed",
        side.put(&definition.itself(), &removed).await.seen()["causes"].clone(),
    );
    let status = format!("{}/status", definition.itself());
    let without = json!({"status": {"storedVersions": ["v1"]}});
    seen.note(
        "status without the storage version",
        side.merge(&status, &without).await.verdict(),
    );
    let unknown = json!({"status": {"storedVersions": ["v2", "v9"]}});
    seen.note(
        "status with an unknown version",
        side.merge(&status, &unknown).await.verdict(),
    );
    // The way of a migration: write each object, say so in the status, then remove the version.
    let old = format!("{}/old", definition.path("v2"));
    seen.note("a write without change", side.merge(&old, &json!({})).await.code);
    let migrated = json!({"status": {"storedVersions": ["v2"]}});
    seen.note(
        "migrated",
        side.merge(&status, &migrated).await.body["status"]["storedVersions"].clone(),
    );
    let mut removed = side.get(&definition.itself()).await.body;
    removed["spec"]["versions"] = json!([version("v2", true)]);
    seen.note(
        "the version is removed",
        side.put(&definition.itself(), &removed).await.code,
    );
    let gone = side
        .until(&definition.path("v1"), |answer| answer.code == 404)
        .await;
    seen.note("it is not served", gone);
    seen.note("the object stays", side.get(&old).await.seen());
    seen
}

async fn watches(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let definition = Definition::new("watched.example.dev", "watches", "Watched");
    establish(&side, &definition).await;
    side.post(&definition.path("v1"), &definition.object("v1", "o"))
        .await;
    let path = format!("{}?watch=true", definition.path("v1"));
    let change = async {
        let columns = json!([{"op": "add", "path": "/spec/versions/0/additionalPrinterColumns",
            "value": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}]}]);
        let media = "application/json-patch+json";
        side.ask(http::Method::PATCH, &definition.itself(), media, Some(&columns))
            .await
            .code
    };
    let (ended, changed) = tokio::join!(side.watch_ends(&path), change);
    seen.note("the definition changes", json!([changed, ended]));
    let delete = async { side.delete(&definition.itself()).await.code };
    let (ended, deleted) = tokio::join!(side.watch_ends(&path), delete);
    seen.note("the definition is deleted", json!([deleted, ended]));
    seen.note("it goes", side.gone(&definition.itself()).await);
    seen.note(
        "its objects are not served",
        side.get(&definition.path("v1")).await.verdict(),
    );
    seen
}
