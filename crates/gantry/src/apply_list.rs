//! Server-side apply of many objects of one kind by one request: the API's PATCH of a collection.

use http::{Method, Request, header};
use kube::core::Status;
use kube::{Client, Resource};
use resources::keys;
use serde::Serialize;

/// Bytes after which a request takes no further object; the API reads three times as many.
const MOST_BYTES: usize = 1 << 20;

/// An object that the API did not take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its place among the objects.
    pub(crate) index: usize,
    /// Why.
    pub(crate) message: String,
}

/// What the API did not take.
#[derive(Debug)]
pub(crate) enum ListError {
    /// Some objects; it took the others.
    Refused(Vec<Refused>),
    /// A request, whose objects begin with this one. Those before it are taken.
    Failed(usize, kube::Error),
}

/// Applies objects of a namespace, and takes fields of other managers.
pub(crate) async fn apply_list<K>(client: &Client, namespace: &str, objects: &[K]) -> Result<(), ListError>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let mut refused = Vec::new();
    let mut next = 0;
    while next < objects.len() {
        let first = next;
        let mut items = String::new();
        while let Some(object) = objects.get(next).filter(|_| items.len() < MOST_BYTES) {
            if next > first {
                items.push(',');
            }
            let object = serde_json::to_string(object);
            items += &object.map_err(|error| ListError::Failed(next, kube::Error::SerdeError(error)))?;
            next += 1;
        }
        match send::<K>(client, namespace, &items).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) => match refused_of(&status) {
                Some(some) => refused.extend(some.into_iter().map(|one| Refused {
                    index: first + one.index,
                    ..one
                })),
                None => return Err(ListError::Failed(first, kube::Error::Api(status))),
            },
            Err(error) => return Err(ListError::Failed(first, error)),
        }
    }
    match refused.is_empty() {
        true => Ok(()),
        false => Err(ListError::Refused(refused)),
    }
}

async fn send<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
    items: &str,
) -> kube::Result<()> {
    let path = K::url_path(&(), Some(namespace));
    let uri = format!("{path}?fieldManager={}&force=true", keys::MANAGER_CLI);
    let (version, kind) = (K::api_version(&()), K::kind(&()));
    let list = format!("{{\"apiVersion\":\"{version}\",\"kind\":\"{kind}List\",\"items\":[{items}]}}");
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
        .body(list.into_bytes())
        .map_err(kube::Error::HttpError)?;
    client.request::<Status>(request).await.map(drop)
}

/// The objects that an answer names; none where it is about the request.
fn refused_of(status: &Status) -> Option<Vec<Refused>> {
    let causes = &status.details.as_ref()?.causes;
    let refused: Option<Vec<Refused>> = causes
        .iter()
        .map(|cause| {
            let index = cause.field.strip_prefix("items[")?.strip_suffix(']')?;
            Some(Refused {
                index: index.parse().ok()?,
                message: cause.message.clone(),
            })
        })
        .collect();
    refused.filter(|refused| !refused.is_empty())
}
