//! The one watch of Hardware and Server that keeps the [`BootView`].
//!
//! Objects are read one by one, so an object that does not parse is left out with a warning and harms no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, Resource};
use resources::gantry::{Server, ServerSpec, ServerStatus};
use resources::tinkerbell::{Hardware, HardwareSpec};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::error::FollowError;
use crate::handle::ViewHandle;
use crate::target::{BootTarget, MachineFacts};
use crate::view::BootView;

/// Namespace and name.
type Key = (String, String);

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
    let mut hardware = Box::pin(events::<Hardware>(&client));
    let mut servers = Box::pin(events::<Server>(&client));
    let mut state = State::default();
    loop {
        let changed = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            event = hardware.next() => {
                let event = event.ok_or(FollowError::Ended { kind: "Hardware" })?;
                taken("Hardware", event).is_some_and(|event| state.hardware_event(event))
            }
            event = servers.next() => {
                let event = event.ok_or(FollowError::Ended { kind: "Server" })?;
                taken("Server", event).is_some_and(|event| state.server_event(event))
            }
        };
        if changed && state.loaded() {
            handle.store(state.view());
        }
    }
}

fn events<K>(client: &Client) -> impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Send + use<K>
where
    K: Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    watch(api, watcher::Config::default()).default_backoff()
}

fn taken(kind: &'static str, event: watcher::Result<Event<DynamicObject>>) -> Option<Event<DynamicObject>> {
    event
        .inspect_err(|error| {
            tracing::warn!(kind, error = error as &dyn std::error::Error, "watch interrupted")
        })
        .ok()
}

/// What was read of one kind, with the list that is being read.
#[derive(Debug)]
struct Kind<T> {
    objects: BTreeMap<Key, T>,
    listed: Option<BTreeSet<Key>>,
    loaded: bool,
}

impl<T> Default for Kind<T> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listed: None,
            loaded: false,
        }
    }
}

impl<T: PartialEq> Kind<T> {
    /// Takes an event in; returns the keys that changed. `read` returns `None` for what cannot be read.
    fn take(
        &mut self,
        event: Event<DynamicObject>,
        read: impl Fn(&Key, &DynamicObject) -> Option<T>,
    ) -> Vec<Key> {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
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
                let gone: Vec<Key> = self
                    .objects
                    .keys()
                    .filter(|key| !listed.contains(*key))
                    .cloned()
                    .collect();
                for key in &gone {
                    self.objects.remove(key);
                }
                gone
            }
        }
    }

    fn put(
        &mut self,
        key: Key,
        object: &DynamicObject,
        read: impl Fn(&Key, &DynamicObject) -> Option<T>,
    ) -> Vec<Key> {
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

/// Everything read, and the NICs made of it.
#[derive(Debug, Default)]
struct State {
    hardware: Kind<HardwareSpec>,
    servers: Kind<(ServerSpec, Option<ServerStatus>)>,
    targets: BTreeMap<Key, Vec<Arc<BootTarget>>>,
    shown: bool,
}

impl State {
    fn loaded(&self) -> bool {
        self.hardware.loaded && self.servers.loaded
    }

    fn hardware_event(&mut self, event: Event<DynamicObject>) -> bool {
        let keys = self
            .hardware
            .take(event, |key, object| field(key, object, "spec"));
        self.renew(&keys)
    }

    fn server_event(&mut self, event: Event<DynamicObject>) -> bool {
        let keys = self.servers.take(event, |key, object| {
            let spec = field(key, object, "spec")?;
            match object.data.get("status") {
                None => Some((spec, None)),
                Some(_) => Some((spec, Some(field(key, object, "status")?))),
            }
        });
        self.renew(&keys)
    }

    /// Makes the NICs of these machines anew; true when the view has to be replaced. Most writes of a Server, such as
    /// those of the last packet, change nothing that booting depends on.
    fn renew(&mut self, keys: &[Key]) -> bool {
        let mut changed = false;
        for key in keys {
            let Some(spec) = self.hardware.objects.get(key) else {
                changed |= self.targets.remove(key).is_some();
                continue;
            };
            let server = self
                .servers
                .objects
                .get(key)
                .map(|(spec, status)| (spec, status.as_ref()));
            let machine = MachineFacts::new(&key.0, &key.1, spec.clone(), server);
            let targets = BootTarget::all_of(machine);
            if self.targets.get(key) != Some(&targets) {
                self.targets.insert(key.clone(), targets);
                changed = true;
            }
        }
        let first = self.loaded() && !self.shown;
        self.shown |= first;
        first || changed
    }

    fn view(&self) -> BootView {
        BootView::new(self.targets.values().flatten().cloned())
    }
}

fn key_of(object: &DynamicObject) -> Key {
    (
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}

fn field<T: DeserializeOwned>(key: &Key, object: &DynamicObject, name: &'static str) -> Option<T> {
    let value = object.data.get(name).cloned().unwrap_or_default();
    serde_json::from_value(value)
        .inspect_err(|error| {
            let machine = &key.1;
            tracing::warn!(machine, field = name, %error, "object cannot be read; it does not take part in booting");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: &str, content: Value) -> DynamicObject {
        let mut object = json!({"kind": kind, "metadata": {"name": "a", "namespace": "n"}});
        let fields = content.as_object().unwrap().clone();
        object.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(object).unwrap()
    }

    fn hardware(address: &str) -> Event<DynamicObject> {
        Event::Apply(object(
            "Hardware",
            json!({"spec": {"interfaces": [{"dhcp": {"mac": "52:54:00:00:00:01", "ip": {"address": address}}}]}}),
        ))
    }

    fn server(boot_id: &str, packet: &str) -> Event<DynamicObject> {
        let session = json!({"attempt": 1, "boot": 1, "bootId": boot_id, "phase": "armed",
            "armedAt": "2026-11-21T00:00:00Z", "deadline": "2026-11-21T00:30:00Z",
            "lastPacket": {"at": "2026-11-21T00:00:01Z", "text": packet}});
        Event::Apply(object(
            "Server",
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
        let gone = Event::Delete(object("Hardware", json!({})));
        assert!(state.hardware_event(gone.clone()));
        assert!(!state.hardware_event(gone));
    }
}
