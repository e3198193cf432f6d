//! The one watch of Hardware and Server that keeps the [`BootView`].
//!
//! Objects are read one by one, so an object that does not parse is left out with a warning and harms no other. A change
//! costs what it touches, whatever the number of machines.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, Resource, ResourceExt as _};
use resources::gantry::{Server, ServerSpec, ServerStatus};
use resources::tinkerbell::{Hardware, HardwareSpec};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::error::FollowError;
use crate::handle::ViewHandle;
use crate::target::{BootTarget, Key, MachineFacts, ServerFacts};
use crate::view::BootView;

/// So many changes that are there at once become visible as one view.
const READY_EVENTS: usize = 256;

/// Keeps `handle` up to date until `cancel`. Lists and watches again after any interruption; readers keep the last
/// view meanwhile.
///
/// # Errors
/// If a watch ends for good, which the API machinery never does on its own.
pub async fn follow(
    client: Client,
    handle: Arc<ViewHandle>,
    cancel: CancellationToken,
) -> Result<(), FollowError> {
    let hardware = events(&client, Seen::Hardware, "Hardware");
    let servers = events(&client, Seen::Server, "Server");
    let mut ready = stream::select(hardware, servers).ready_chunks(READY_EVENTS);
    let mut state = State::default();
    loop {
        let seen = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            seen = ready.next() => seen.unwrap_or_else(|| vec![Seen::Ended("Hardware")]),
        };
        let mut changed = false;
        for seen in seen {
            changed |= match seen {
                Seen::Hardware(event) => state.hardware_event(event),
                Seen::Server(event) => state.server_event(event),
                Seen::Interrupted(kind, error) => {
                    tracing::warn!(
                        kind,
                        error = &error as &dyn std::error::Error,
                        "watch interrupted"
                    );
                    false
                }
                Seen::Ended(kind) => return Err(FollowError::Ended { kind }),
            };
        }
        if changed {
            handle.store(state.view.clone());
        }
    }
}

/// A Hardware whose content is read on its own, so that what cannot be read is this object alone.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Hardware)]
struct RawHardware {
    metadata: ObjectMeta,
    spec: Option<Value>,
}

/// A Server whose content is read on its own.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Server)]
struct RawServer {
    metadata: ObjectMeta,
    spec: Option<Value>,
    status: Option<Value>,
}

/// What the watches say.
enum Seen {
    Hardware(Event<RawHardware>),
    Server(Event<RawServer>),
    Interrupted(&'static str, watcher::Error),
    Ended(&'static str),
}

fn events<K>(
    client: &Client,
    seen: fn(Event<K>) -> Seen,
    kind: &'static str,
) -> impl Stream<Item = Seen> + Send + Unpin + use<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let api: Api<K> = Api::all(client.clone());
    let events = watch(api, watcher::Config::default()).default_backoff();
    let events = events.map(move |event| event.map_or_else(|error| Seen::Interrupted(kind, error), seen));
    Box::pin(events.chain(stream::once(std::future::ready(Seen::Ended(kind)))))
}

/// What was read of one kind, with the list that is being read.
#[derive(Debug)]
struct Kind<T> {
    objects: HashMap<Key, T>,
    listed: Option<HashSet<Key>>,
    loaded: bool,
}

impl<T> Default for Kind<T> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            listed: None,
            loaded: false,
        }
    }
}

impl<T: PartialEq> Kind<T> {
    /// Takes an event in; returns the keys that changed. `read` returns `None` for what cannot be read.
    fn take<K: Resource>(&mut self, event: Event<K>, read: impl Fn(&Key, &K) -> Option<T>) -> Vec<Key> {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = key_of(&object);
                if let Some(listed) = &mut self.listed {
                    listed.insert(key.clone());
                }
                self.put(key, &object, read)
            }
            Event::Apply(object) => self.put(key_of(&object), &object, read),
            Event::Delete(object) => {
                let key = key_of(&object);
                self.objects.remove(&key).map(|_| key).into_iter().collect()
            }
            Event::InitDone => {
                self.loaded = true;
                let listed = self.listed.take().unwrap_or_default();
                let gone = self.objects.extract_if(|key, _| !listed.contains(key));
                gone.map(|(key, _)| key).collect()
            }
        }
    }

    fn put<K>(&mut self, key: Key, object: &K, read: impl Fn(&Key, &K) -> Option<T>) -> Vec<Key> {
        let new = read(&key, object);
        if self.objects.get(&key) == new.as_ref() {
            return Vec::new();
        }
        match new {
            Some(value) => self.objects.insert(key.clone(), value),
            None => self.objects.remove(&key),
        };
        vec![key]
    }
}

/// What was read, and the view made of it.
#[derive(Debug, Default)]
struct State {
    hardware: Kind<Arc<HardwareSpec>>,
    servers: Kind<ServerFacts>,
    view: BootView,
}

impl State {
    /// Returns true when the view that readers have is to be replaced.
    fn hardware_event(&mut self, event: Event<RawHardware>) -> bool {
        let keys = self.hardware.take(event, |key, object| {
            field(key, "spec", object.spec.as_ref()).map(Arc::new)
        });
        self.renew(&keys)
    }

    /// Returns true when the view that readers have is to be replaced.
    fn server_event(&mut self, event: Event<RawServer>) -> bool {
        let keys = self.servers.take(event, |key, object| {
            let spec: ServerSpec = field(key, "spec", object.spec.as_ref())?;
            let status: Option<ServerStatus> = match object.status.as_ref() {
                None => None,
                status => Some(field(key, "status", status)?),
            };
            Some(ServerFacts::new(&spec, status.as_ref()))
        });
        self.renew(&keys)
    }

    /// Makes the NICs of these machines anew. Most writes of a Server, such as those of the last packet, change nothing
    /// that booting depends on.
    fn renew(&mut self, keys: &[Key]) -> bool {
        let mut changed = false;
        for key in keys {
            let targets = self.hardware.objects.get(key).map(|spec| {
                let server = self.servers.objects.get(key).cloned();
                BootTarget::all_of(MachineFacts::of(key, Arc::clone(spec), server))
            });
            changed |= self.view.set_machine(key, targets.unwrap_or_default());
        }
        let loaded = self.hardware.loaded && self.servers.loaded;
        let first = loaded && !self.view.loaded();
        if first {
            self.view.set_loaded();
        }
        first || (loaded && changed)
    }
}

fn key_of<K: Resource>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn field<'a, T: Deserialize<'a>>(key: &Key, name: &'static str, content: Option<&'a Value>) -> Option<T> {
    T::deserialize(content.unwrap_or(&Value::Null))
        .inspect_err(|error| {
            let machine = &key.1;
            tracing::warn!(machine, field = name, %error, "object cannot be read; it does not take part in booting");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object<K: DeserializeOwned>(content: Value) -> K {
        let mut object = json!({"metadata": {"name": "a", "namespace": "n"}});
        let fields = content.as_object().unwrap().clone();
        object.as_object_mut().unwrap().extend(fields);
        serde_json::from_str(&object.to_string()).unwrap()
    }

    fn hardware(address: &str) -> Event<RawHardware> {
        Event::Apply(object(
            json!({"spec": {"interfaces": [{"dhcp": {"mac": "52:54:00:00:00:01", "ip": {"address": address}}}]}}),
        ))
    }

    fn server(boot_id: &str, packet: &str) -> Event<RawServer> {
        let session = json!({"attempt": 1, "boot": 1, "bootId": boot_id, "phase": "armed",
            "armedAt": "2026-11-21T00:00:00Z", "deadline": "2026-11-21T00:30:00Z",
            "lastPacket": {"at": "2026-11-21T00:00:01Z", "text": packet}});
        Event::Apply(object(
            json!({"spec": {"machineId": "m", "hardware": "a"}, "status": {"bootSession": session}}),
        ))
    }

    #[test]
    fn the_view_is_replaced_only_for_what_booting_depends_on() {
        let mut state = State::default();
        state.hardware_event(Event::Init);
        assert!(!state.hardware_event(Event::InitDone));
        state.server_event(Event::Init);
        assert!(state.server_event(Event::InitDone), "all is read");
        assert!(state.hardware_event(hardware("10.0.0.5")));
        assert!(state.server_event(server("first", "DHCP: DISCOVER")));
        assert!(
            !state.server_event(server("first", "DHCP: REQUEST")),
            "the last packet"
        );
        assert!(state.server_event(server("second", "DHCP: REQUEST")));
        assert!(!state.hardware_event(hardware("10.0.0.5")));
        assert!(state.hardware_event(hardware("10.0.0.6")));
        let gone = Event::Delete(object(json!({})));
        assert!(state.hardware_event(gone.clone()));
        assert!(!state.hardware_event(gone));
    }
}
