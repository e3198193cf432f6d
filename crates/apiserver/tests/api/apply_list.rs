//! Server-side apply of a list: the same as applying its objects one by one, in one commit.

use futures::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request, header};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::core::{DynamicObject, Status};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::fixture::{Fixture, code, widget};

const PATH: &str = "/apis/example.dev/v1/namespaces/default/widgets";
const APPLY: &str = "application/apply-patch+yaml";

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "example.dev/v1", "kind": "WidgetList", "items": items})
}

async fn send(client: &Client, query: &str, media: &str, body: &Value) -> kube::Result<Status> {
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(format!("{PATH}?{query}"))
        .header(header::CONTENT_TYPE, media)
        .body(body.to_string().into_bytes());
    client.request::<Status>(request.unwrap()).await
}

async fn apply_list(client: &Client, manager: &str, items: &[Value]) -> kube::Result<Status> {
    send(
        client,
        &format!("fieldManager={manager}&force=true"),
        APPLY,
        &list(items),
    )
    .await
}

/// Place and message of each object that was refused.
fn refused(result: kube::Result<Status>) -> Vec<(String, String)> {
    let Err(kube::Error::Api(status)) = result else {
        panic!("expected a failure, got {result:?}");
    };
    assert_eq!(status.code, 422, "{status:?}");
    let causes = status.details.unwrap().causes;
    causes
        .into_iter()
        .map(|cause| (cause.field, cause.message))
        .collect()
}

/// All widgets without what differs from server to server.
async fn widgets(f: &Fixture) -> Vec<Value> {
    let objects = f.widgets().list(&ListParams::default()).await.unwrap().items;
    let plain = objects.into_iter().map(|object| {
        let mut object = serde_json::to_value(object).unwrap();
        let meta = object["metadata"].as_object_mut().unwrap();
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            meta.remove(field);
        }
        let managers = meta["managedFields"].as_array_mut().unwrap();
        for manager in managers.iter_mut() {
            manager.as_object_mut().unwrap().remove("time");
        }
        // They are in the order of their times.
        managers.sort_by_key(ToString::to_string);
        object
    });
    plain.collect()
}

fn name(number: usize) -> String {
    format!("w-{number:03}")
}

/// New objects, more than one statement stores; changes of some with new ones between them; the same again.
fn rounds() -> Vec<(&'static str, Vec<Value>)> {
    let parts = |count: usize| json!({"parts": [{"name": "x", "count": count}]});
    let sized = |number: usize| widget(&name(number), json!({"size": number + 1}));
    let new: Vec<Value> = (0..70).map(sized).collect();
    let mixed = (60..80).map(|number| match number % 3 {
        0 => widget(&name(number), json!({"size": 900})),
        1 => widget(&name(number), json!({"size": number + 1, "colour": "blue"})),
        _ => sized(number),
    });
    let mixed: Vec<Value> = mixed.collect();
    let other: Vec<Value> = (50..70)
        .map(|number| widget(&name(number), parts(number)))
        .collect();
    let less: Vec<Value> = (60..80).map(|number| widget(&name(number), json!({}))).collect();
    vec![
        ("one", new),
        ("one", mixed.clone()),
        ("one", mixed),
        ("two", other),
        ("one", less),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_does_what_its_objects_do_one_by_one() {
    let (together, alone) = (Fixture::new().await, Fixture::new().await);
    for (manager, items) in rounds() {
        apply_list(&together.client, manager, &items).await.unwrap();
        for item in &items {
            let (name, params) = (
                item["metadata"]["name"].as_str().unwrap(),
                PatchParams::apply(manager).force(),
            );
            let api = alone.widgets();
            api.patch(name, &params, &Patch::Apply(item)).await.unwrap();
        }
        let (together, alone) = (widgets(&together).await, widgets(&alone).await);
        assert!(!together.is_empty());
        assert_eq!(together.len(), alone.len());
        for (together, alone) in together.iter().zip(&alone) {
            assert_eq!(together, alone);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_hears_of_each_object_and_nothing_of_what_stays() {
    let f = Fixture::new().await;
    let version = f.widgets().list(&ListParams::default()).await.unwrap();
    let version = version.metadata.resource_version.unwrap();
    let items: Vec<Value> = (0..40)
        .map(|number| widget(&name(number), json!({"size": 1})))
        .collect();
    for _ in 0..2 {
        apply_list(&f.client, "one", &items).await.unwrap();
    }
    apply_list(&f.client, "one", &[widget(&name(7), json!({"size": 2}))])
        .await
        .unwrap();
    let api = f.widgets();
    let events = api.watch(&WatchParams::default(), &version).await.unwrap();
    let events: Vec<WatchEvent<DynamicObject>> = events.boxed().take(41).try_collect().await.unwrap();
    let (changed, made) = events.split_last().unwrap();
    for (number, event) in made.iter().enumerate() {
        match event {
            WatchEvent::Added(object) => assert_eq!(object.name_any(), name(number)),
            other => panic!("{other:?}"),
        }
    }
    match changed {
        WatchEvent::Modified(object) => assert_eq!(object.data["spec"]["size"], 2),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_named_and_the_others_are_stored() {
    let f = Fixture::new().await;
    let first = [widget("a", json!({"size": 1}))];
    apply_list(&f.client, "one", &first).await.unwrap();
    let items = [
        widget("b", json!({"size": 0})),
        widget("c", json!({"size": 3})),
        widget("Bad_Name", json!({"size": 3})),
        widget("a", json!({"size": 2})),
    ];
    // Without force: "one" has the size of "a".
    let done = send(&f.client, "fieldManager=two", APPLY, &list(&items)).await;
    let text = done.as_ref().unwrap_err().to_string();
    assert!(
        text.contains("3 of 4 widgets.example.dev were not applied: items[0] (b)"),
        "{text}"
    );
    let refused = refused(done);
    let places: Vec<&str> = refused.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["items[0]", "items[2]", "items[3]"]);
    for ((_, message), part) in refused
        .iter()
        .zip(["spec.size", "metadata.name", "conflict with \"one\""])
    {
        assert!(message.contains(part), "{message}");
    }
    let names: Vec<String> = widgets(&f)
        .await
        .iter()
        .map(|w| w["metadata"]["name"].to_string())
        .collect();
    assert_eq!(names, ["\"a\"", "\"c\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_none_changes_nothing() {
    let f = Fixture::new().await;
    let good = widget("a", json!({"size": 1}));
    let mut nameless = good.clone();
    nameless["metadata"] = json!({"generateName": "x-"});
    let mut elsewhere = good.clone();
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    let manager = "fieldManager=one";
    for (query, media, body, expected) in [
        (
            manager,
            "application/merge-patch+json",
            list(std::slice::from_ref(&good)),
            405,
        ),
        ("", APPLY, list(std::slice::from_ref(&good)), 422),
        (manager, APPLY, good.clone(), 400),
        (manager, APPLY, json!({"items": 7}), 400),
        (manager, APPLY, json!({}), 400),
        (manager, APPLY, list(&[nameless]), 400),
        (manager, APPLY, list(&[good.clone(), good.clone()]), 400),
        (manager, APPLY, list(&[json!("a")]), 400),
        (manager, APPLY, list(&[elsewhere]), 422),
    ] {
        let text = body.to_string();
        assert_eq!(
            code(send(&f.client, query, media, &body).await),
            expected,
            "{text}"
        );
    }
    let dry = send(
        &f.client,
        "fieldManager=one&dryRun=All",
        APPLY,
        &list(std::slice::from_ref(&good)),
    )
    .await;
    dry.unwrap();
    let guest = f.server.client_as(apiserver::Identity {
        name: "guest".into(),
        groups: vec![],
    });
    assert_eq!(code(apply_list(&guest, "one", &[good]).await), 403);
    assert!(widgets(&f).await.is_empty());
    apply_list(&f.client, "one", &[]).await.unwrap();
}

/// Lists and single writes of the same objects: who loses a race is computed again, and nobody's field is lost.
#[tokio::test(flavor = "multi_thread")]
async fn lists_that_race_lose_nothing() {
    const OBJECTS: usize = 40;
    let f = Fixture::new().await;
    let lists = (0..6).map(|writer| {
        let items = (0..OBJECTS).map(|number| {
            let part = json!({"parts": [{"name": format!("p{writer}"), "count": number}]});
            widget(&name(number), part)
        });
        let (client, items): (Client, Vec<Value>) = (f.client.clone(), items.collect());
        async move {
            apply_list(&client, &format!("list-{writer}"), &items)
                .await
                .map(drop)
        }
    });
    let singles = (0..OBJECTS).map(|number| {
        let api = f.widgets();
        async move {
            let item = widget(&name(number), json!({"size": 5}));
            let params = PatchParams::apply("single").force();
            api.patch(&name(number), &params, &Patch::Apply(item))
                .await
                .map(drop)
        }
    });
    let (lists, singles) = futures::join!(
        futures::future::join_all(lists),
        futures::future::join_all(singles)
    );
    lists.into_iter().chain(singles).for_each(Result::unwrap);
    let widgets = widgets(&f).await;
    assert_eq!(widgets.len(), OBJECTS);
    for widget in widgets {
        assert_eq!(widget["spec"]["size"], 5, "{widget}");
        assert_eq!(widget["spec"]["parts"].as_array().unwrap().len(), 6, "{widget}");
        assert_eq!(
            widget["metadata"]["managedFields"].as_array().unwrap().len(),
            7,
            "{widget}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_in_a_namespace_that_goes() {
    let f = Fixture::new().await;
    let namespaces: Api<Namespace> = Api::all(f.client.clone());
    let held = json!({"metadata": {"name": "going", "finalizers": ["test/held"]}});
    let held = serde_json::from_value(held).unwrap();
    namespaces.create(&Default::default(), &held).await.unwrap();
    namespaces
        .delete("going", &DeleteParams::default())
        .await
        .unwrap();
    let request = Request::builder()
        .method(Method::PATCH)
        .uri("/apis/example.dev/v1/namespaces/going/widgets?fieldManager=one")
        .header(header::CONTENT_TYPE, APPLY)
        .body(list(&[widget("a", json!({"size": 1}))]).to_string().into_bytes());
    let refused = refused(f.client.request::<Status>(request.unwrap()).await);
    assert!(refused[0].1.contains("being terminated"), "{refused:?}");
}
