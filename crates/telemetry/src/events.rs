//! Core Events, deduplicated: the same object, component and reason is one Event, which is counted and
//! carries the newest text. Its name follows from these, so a restart and two writers count on the same one.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Resource};
use resources::Time;
use resources::tinkerbell::Hardware;
use sha2::Digest as _;
use steps::Transition;

/// Tries against others who count at the same time.
const TRIES: u32 = 5;
/// The API is given so long; whoever reports has more to do.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the digest in an Event's name.
const KEY: usize = 8;
/// Longest part of an Event's name that comes from its object.
const NAME: usize = 200;

/// Type of an Event.
#[derive(Debug, Clone, Copy)]
enum Severity {
    Normal,
    Warning,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Writes the Events of one component.
#[derive(Clone)]
pub struct Events {
    client: Client,
    component: &'static str,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}

impl Events {
    /// For a component, such as `gantry-servers`.
    #[must_use]
    pub const fn new(client: Client, component: &'static str) -> Self {
        Self { client, component }
    }

    /// Reports trouble of an object. `reason` is one CamelCase word, `text` a sentence with the next step.
    pub async fn warn<K>(&self, object: &K, reason: &str, text: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        self.report(&object.object_ref(&()), Severity::Warning, reason, text)
            .await;
    }

    /// Reports what went well, of which its status says no state.
    pub async fn inform<K>(&self, object: &K, reason: &str, text: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        self.report(&object.object_ref(&()), Severity::Normal, reason, text)
            .await;
    }

    /// Reports that an object entered a state. A failure is a Warning with the object's name, also on the machine's
    /// Hardware, as [`Self::warn_of_machine`]; everything else is Normal and on the object alone.
    pub async fn transition<K>(&self, object: &K, hardware: &str, transition: &Transition)
    where
        K: Resource<DynamicType = ()>,
    {
        let Transition { to, reason, .. } = transition;
        if to.failure {
            let name = object.meta().name.as_deref().unwrap_or_default();
            let text = format!("{} {name}: {reason}", K::kind(&()));
            self.warn_of_machine(object, hardware, to.event, &text).await;
        } else {
            self.report(&object.object_ref(&()), Severity::Normal, to.event, reason)
                .await;
        }
    }

    /// As [`Self::warn`], and also on the machine's Hardware, which is the object that people look at first. An empty
    /// name is a machine that is not known.
    pub async fn warn_of_machine<K>(&self, object: &K, hardware: &str, reason: &str, text: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        if !hardware.is_empty() {
            let namespace = object.meta().namespace.as_deref().unwrap_or_default();
            self.warn_hardware(namespace, hardware, reason, text).await;
        }
        self.warn(object, reason, text).await;
    }

    async fn warn_hardware(&self, namespace: &str, name: &str, reason: &str, text: &str) {
        let api: Api<Hardware> = Api::namespaced(self.client.clone(), namespace);
        match tokio::time::timeout(PATIENCE, api.get_opt(name)).await {
            Ok(Ok(Some(hardware))) => self.warn(&hardware, reason, text).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::warn!(machine = name, error = %causes::line(&error), "no event on its hardware");
            }
            Err(_) => tracing::warn!(machine = name, "no event on its hardware: the API is slow"),
        }
    }

    async fn report(&self, object: &ObjectReference, severity: Severity, reason: &str, text: &str) {
        let written = tokio::time::timeout(PATIENCE, self.write(object, severity, reason, text)).await;
        let machine = object.name.as_deref().unwrap_or_default();
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(machine, reason, error = %causes::line(&error), "event not written");
            }
            Err(_) => tracing::warn!(machine, reason, "event not written: the API is slow"),
        }
    }

    async fn write(
        &self,
        object: &ObjectReference,
        severity: Severity,
        reason: &str,
        text: &str,
    ) -> kube::Result<()> {
        // Events of what has no namespace lie in `default`, as Kubernetes wants it.
        let namespace = object.namespace.as_deref().filter(|name| !name.is_empty());
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace.unwrap_or("default"));
        let name = name(object, self.component, reason);
        let params = PostParams {
            field_manager: Some(self.component.to_owned()),
            ..PostParams::default()
        };
        let mut tries = 0_u32;
        loop {
            tries = tries.saturating_add(1);
            let now = Time(Timestamp::now());
            let mut event = self.event(object, &name, severity, now.clone());
            event.reason = Some(reason.to_owned());
            event.message = Some(text.to_owned());
            // Most Events are new, so that is tried first.
            let mut done = api.create(&params, &event).await;
            if is_conflict(&done)
                && let Some(known) = api.get_opt(&name).await?
            {
                // The version that was read goes with it, so who counts at the same time is not overwritten.
                done = api.replace(&name, &params, &counted(known, text, now)).await;
            }
            // Somebody else counted, made or removed it meanwhile.
            if !is_conflict(&done) || tries >= TRIES {
                return done.map(drop);
            }
        }
    }

    fn event(&self, object: &ObjectReference, name: &str, severity: Severity, now: Time) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: object.clone(),
            type_: Some(severity.name().to_owned()),
            count: Some(1),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            source: Some(EventSource {
                component: Some(self.component.to_owned()),
                ..EventSource::default()
            }),
            reporting_component: Some(self.component.to_owned()),
            reporting_instance: Some(String::new()),
            ..Event::default()
        }
    }
}

fn is_conflict(done: &kube::Result<Event>) -> bool {
    matches!(done, Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409))
}

/// The Event after one more time.
fn counted(mut event: Event, text: &str, now: Time) -> Event {
    event.count = Some(event.count.unwrap_or(1).saturating_add(1));
    event.last_timestamp = Some(now);
    event.message = Some(text.to_owned());
    event
}

fn name(object: &ObjectReference, component: &str, reason: &str) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let key = [
        part(&object.kind),
        part(&object.name),
        part(&object.uid),
        component.to_owned(),
        reason.to_owned(),
    ]
    .join("\n");
    let digest = sha2::Sha256::digest(key.as_bytes());
    let key = hex::encode(digest.get(..KEY).unwrap_or_default());
    let of: String = part(&object.name).chars().take(NAME).collect();
    format!("{of}.{key}")
}
