//! What the conformance suite does at the provider behind the driver's back.

use std::sync::Arc;

use driver::conformance::{Hook, PeerHooks};

use crate::memory::{IMAGES, Marks, MemoryProvider, NETWORK, NewObject, Object, ObjectPower};

/// Hooks of a provider in this process.
#[derive(Debug, Clone)]
pub struct MemoryHooks(pub Arc<MemoryProvider>);

#[tonic::async_trait]
impl PeerHooks for MemoryHooks {
    async fn call(&self, hook: Hook<'_>) -> Result<Option<String>, String> {
        let mut state = self.0.state().lock();
        let id = |objects: &std::collections::BTreeMap<u64, Object>, name: &str| {
            let named = objects.values().find(|object| object.made.name == name);
            named
                .map(|object| object.id)
                .ok_or_else(|| format!("there is no machine {name}"))
        };
        let answer = match hook {
            Hook::CountObjects => state.objects.len().to_string(),
            Hook::CountSessions => state.sessions.len().to_string(),
            Hook::CreateForeign(name) => {
                state.last_id += 1;
                let made = NewObject {
                    name: name.to_owned(),
                    marks: Marks::default(),
                    vcpus: 1,
                    memory_mib: 512,
                    image: IMAGES[0].to_owned(),
                    network: NETWORK.to_owned(),
                    userdata: Vec::new(),
                };
                let object = Object::new(state.last_id, made);
                state.objects.insert(object.id, object);
                String::new()
            }
            Hook::PowerOff(name) => {
                let id = id(&state.objects, name)?;
                if let Some(object) = state.objects.get_mut(&id) {
                    object.power = ObjectPower::Off;
                }
                String::new()
            }
            Hook::Remove(name) => {
                if let Ok(id) = id(&state.objects, name) {
                    state.objects.remove(&id);
                }
                String::new()
            }
            Hook::ReadUserdata(name) => {
                let id = id(&state.objects, name)?;
                let data = state
                    .objects
                    .get(&id)
                    .map(|object| object.made.userdata.as_slice());
                data.unwrap_or_default()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect()
            }
        };
        Ok(Some(answer))
    }
}
