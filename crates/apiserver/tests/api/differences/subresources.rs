//! Every method on every kind of path: which are allowed, which are not found.

use http::Method;
use serde_json::json;

use super::Case;
use super::definitions::{Definition, establish};
use super::side::Side;
use super::transcript::Transcript;

pub(super) fn cases() -> Vec<Case> {
    vec![Case {
        name: "subresources",
        run: |side| Box::pin(matrix(side)),
    }]
}

async fn matrix(side: Side) -> Transcript {
    let mut seen = Transcript::default();
    let maps = side.namespace("matrix").await;
    side.config_map(&maps, "m", json!({})).await;
    let with = Definition::new("with.matrix.dev", "withs", "With").status();
    let without = Definition::new("without.matrix.dev", "withouts", "Without");
    for definition in [&with, &without] {
        establish(&side, definition).await;
        let made = side
            .post(&definition.path("v1"), &definition.object("v1", "o"))
            .await;
        assert_eq!(made.code, 201, "{made:?}");
    }
    for path in [
        "/api/v1/namespaces".to_owned(),
        "/api/v1/namespaces/matrix/status".to_owned(),
        "/api/v1/namespaces/matrix/nothing".to_owned(),
        maps.clone(),
        format!("{maps}/m"),
        format!("{maps}/m/status"),
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/withs.with.matrix.dev/status".to_owned(),
        format!("{}/o/status", with.path("v1")),
        format!("{}/o/nothing", with.path("v1")),
        format!("{}/o/status", without.path("v1")),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/o".to_owned(),
        "/apis/nothing.matrix.dev/v1/nothings".to_owned(),
    ] {
        // PUT and POST without a body would be judged by their body; what is not allowed is refused before.
        let named = path
            .rsplit('/')
            .next()
            .is_some_and(|last| ["o", "m", "status", "nothing"].contains(&last));
        let (refused, allowed) = if named {
            (vec![Method::POST, Method::DELETE], vec![Method::GET])
        } else {
            (vec![Method::PUT, Method::PATCH], vec![Method::GET])
        };
        for method in refused.into_iter().chain(allowed) {
            // These delete what later rows need.
            if method == Method::DELETE && ["o", "m"].iter().any(|name| path.ends_with(&format!("/{name}"))) {
                continue;
            }
            let answer = side.ask(method.clone(), &path, "application/json", None).await;
            seen.note(format!("{method} {path}"), answer.verdict());
        }
    }
    seen
}
