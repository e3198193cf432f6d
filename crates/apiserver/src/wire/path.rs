//! URL paths of the Kubernetes API. Pure.

/// Where the metrics of the process are.
pub(crate) const METRICS: &str = "/metrics";

/// What a path addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/healthz`, `/livez`, `/readyz` and what is below them.
    Health,
    /// [`METRICS`].
    Metrics,
    /// `/version`.
    Version,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/<group>`.
    Group(String),
    /// `/api/<version>` and `/apis/<group>/<version>`.
    Resources { group: String, version: String },
    /// `/openapi/v2`.
    OpenApi2,
    /// `/openapi/v3`.
    OpenApi3Index,
    /// `/openapi/v3/api/<version>` and `/openapi/v3/apis/<group>/<version>`.
    OpenApi3 { group: String, version: String },
    /// A collection, an object or a subresource.
    Resource(Target),
    /// Nothing that is served.
    Nothing,
}

/// Address of a collection or object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

/// Parses a path.
pub(crate) fn parse(path: &str) -> Route {
    let decoded: Vec<String> = path
        .split('/')
        .filter(|p| !p.is_empty())
        // In a path a plus sign is itself.
        .map(|p| {
            let pair = format!("={}", p.replace('+', "%2B"));
            url::form_urlencoded::parse(pair.as_bytes())
                .next()
                .map(|(_, v)| v.into_owned())
                .unwrap_or_default()
        })
        .collect();
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Route::Health,
        ["metrics"] => Route::Metrics,
        ["version"] => Route::Version,
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] => Route::Group((*group).to_owned()),
        ["api", version] => Route::Resources {
            group: String::new(),
            version: (*version).to_owned(),
        },
        ["apis", group, version] => Route::Resources {
            group: (*group).to_owned(),
            version: (*version).to_owned(),
        },
        ["openapi", "v2"] => Route::OpenApi2,
        ["openapi", "v3"] => Route::OpenApi3Index,
        ["openapi", "v3", "api", version] => Route::OpenApi3 {
            group: String::new(),
            version: (*version).to_owned(),
        },
        ["openapi", "v3", "apis", group, version] => Route::OpenApi3 {
            group: (*group).to_owned(),
            version: (*version).to_owned(),
        },
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        _ => Route::Nothing,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let owned = |text: &str| Some(text.to_owned());
    let (namespace, rest) = match rest {
        // The namespace object and its own subresources, not something in it.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, rest @ ..] => (owned(namespace), rest),
        _ => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (plural, None, None),
        [plural, name] => (plural, owned(name), None),
        [plural, name, subresource] => (plural, owned(name), owned(subresource)),
        _ => return Route::Nothing,
    };
    Route::Resource(Target {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: (*plural).to_owned(),
        namespace,
        name,
        subresource,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> String {
        match parse(text) {
            Route::Resource(t) => format!(
                "{}|{}|{}|{}|{}|{}",
                t.group,
                t.version,
                t.plural,
                t.namespace.unwrap_or_default(),
                t.name.unwrap_or_default(),
                t.subresource.unwrap_or_default()
            ),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn path_table() {
        for (path, expected) in [
            ("/api/v1/namespaces", "|v1|namespaces|||"),
            ("/api/v1/namespaces/a", "|v1|namespaces||a|"),
            ("/api/v1/namespaces/a/status", "|v1|namespaces||a|status"),
            ("/api/v1/namespaces/a/secrets", "|v1|secrets|a||"),
            ("/api/v1/namespaces/a/secrets/b", "|v1|secrets|a|b|"),
            ("/apis/x.y/v1/things", "x.y|v1|things|||"),
            ("/apis/x.y/v1/things/t", "x.y|v1|things||t|"),
            (
                "/apis/x.y/v1/namespaces/a/things/t/status",
                "x.y|v1|things|a|t|status",
            ),
            ("/apis/x.y/v1/things/t%3Au/status", "x.y|v1|things||t:u|status"),
            ("/apis/x.y/v1/things/t/status/more", "Nothing"),
            ("/readyz/ping", "Health"),
            (
                "/openapi/v3/apis/x.y/v1",
                "OpenApi3 { group: \"x.y\", version: \"v1\" }",
            ),
            ("/apis/x.y/v1/", "Resources { group: \"x.y\", version: \"v1\" }"),
            (METRICS, "Metrics"),
            ("/metrics/cadvisor", "Nothing"),
            ("/other", "Nothing"),
        ] {
            assert_eq!(target(path), expected, "{path}");
        }
    }
}
