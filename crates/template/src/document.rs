//! The workflow document that a template renders to (Tinkerbell reference §5.1), checked as a whole.
//!
//! `on-timeout` and `on-failure` are read and, as upstream does, not acted on. A timeout of 0 or none is an hour here;
//! upstream's agent times out at once.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::Error;

const NAME_LIMIT: usize = 199;
/// Seconds that an action may take when its template says nothing.
const DEFAULT_TIMEOUT: i64 = 3600;

/// A workflow as its template says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Name.
    pub name: String,
    /// Seconds for everything; 0 means no limit.
    pub global_timeout: i64,
    /// Tasks in order; at least one.
    pub tasks: Vec<Task>,
}

/// The actions of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Name, unique in the document.
    pub name: String,
    /// Agent id.
    pub worker: String,
    /// Mounts of every action.
    pub volumes: Vec<String>,
    /// Environment of every action.
    pub environment: BTreeMap<String, String>,
    /// Actions in order; at least one.
    pub actions: Vec<Action>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Name, unique in its task.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Line of the image in the rendered text, for errors of later checks.
    pub image_line: u64,
    /// Seconds, more than 0.
    pub timeout: i64,
    /// Arguments.
    pub command: Vec<String>,
    /// Mounts.
    pub volumes: Vec<String>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// PID namespace.
    pub pid: Option<String>,
    /// Namespaces.
    pub namespaces: Option<Namespaces>,
}

/// Namespaces that an action shares with the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespaces {
    /// Network.
    #[serde(default)]
    pub network: Option<String>,
    /// PID.
    #[serde(default)]
    pub pid: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDocument {
    #[serde(default)]
    version: Option<String>,
    name: Spanned<String>,
    #[serde(default, rename = "id")]
    _id: Option<String>,
    #[serde(default)]
    global_timeout: Option<Spanned<i64>>,
    tasks: Spanned<Vec<RawTask>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask {
    name: Spanned<String>,
    worker: Spanned<String>,
    #[serde(default)]
    volumes: Option<Vec<String>>,
    #[serde(default)]
    environment: Option<BTreeMap<String, String>>,
    actions: Spanned<Vec<RawAction>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAction {
    name: Spanned<String>,
    image: Spanned<String>,
    #[serde(default)]
    timeout: Option<Spanned<i64>>,
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    volumes: Option<Vec<String>>,
    #[serde(default)]
    environment: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pid: Option<String>,
    #[serde(default)]
    namespaces: Option<Namespaces>,
    #[serde(default, rename = "on-timeout")]
    _on_timeout: Option<Vec<String>>,
    #[serde(default, rename = "on-failure")]
    _on_failure: Option<Vec<String>>,
}

/// Reads and checks the rendered text of Template `template`.
pub fn parse(template: &str, rendered: &str) -> Result<Document, Error> {
    let raw: RawDocument = serde_saphyr::from_str(rendered).map_err(|error| {
        let place = error.location();
        Error::Yaml {
            template: template.to_owned(),
            line: place.map_or(1, |place| place.line()),
            column: place.map_or(1, |place| place.column()),
            message: first_line(&error.to_string()),
        }
    })?;
    let mut check = Check { problems: Vec::new() };
    check.document(&raw);
    if !check.problems.is_empty() {
        return Err(Error::Document {
            template: template.to_owned(),
            problems: check.problems,
        });
    }
    Ok(Document {
        name: raw.name.value,
        global_timeout: raw.global_timeout.map_or(0, |seconds| seconds.value),
        tasks: raw.tasks.value.into_iter().map(task).collect(),
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn task(raw: RawTask) -> Task {
    Task {
        name: raw.name.value,
        worker: raw.worker.value,
        volumes: raw.volumes.unwrap_or_default(),
        environment: raw.environment.unwrap_or_default(),
        actions: raw.actions.value.into_iter().map(action).collect(),
    }
}

fn action(raw: RawAction) -> Action {
    let seconds = raw.timeout.map_or(0, |seconds| seconds.value);
    Action {
        name: raw.name.value,
        image_line: raw.image.defined.line(),
        image: raw.image.value,
        timeout: if seconds == 0 { DEFAULT_TIMEOUT } else { seconds },
        command: raw.command.unwrap_or_default(),
        volumes: raw.volumes.unwrap_or_default(),
        environment: raw.environment.unwrap_or_default(),
        pid: raw.pid,
        namespaces: raw.namespaces,
    }
}

struct Check {
    problems: Vec<String>,
}

impl Check {
    fn problem(&mut self, line: u64, field: &str, what: &str) {
        self.problems
            .push(format!("rendered line {line}: {field}: {what}"));
    }

    fn document(&mut self, raw: &RawDocument) {
        if let Some(version) = raw.version.as_deref().filter(|version| *version != "0.1") {
            self.problem(1, "version", &format!("{version:?} is not known; write \"0.1\""));
        }
        self.name(&raw.name, "name");
        self.seconds(raw.global_timeout.as_ref(), "global_timeout");
        if raw.tasks.value.is_empty() {
            self.problem(
                raw.tasks.defined.line(),
                "tasks",
                "is empty; a workflow needs a task",
            );
        }
        let mut names = BTreeSet::new();
        for (at, task) in raw.tasks.value.iter().enumerate() {
            self.task(task, at, &mut names);
        }
    }

    fn task<'a>(&mut self, task: &'a RawTask, at: usize, names: &mut BTreeSet<&'a str>) {
        let field = format!("tasks[{at}]");
        self.name(&task.name, &format!("{field}.name"));
        if !names.insert(&task.name.value) {
            let what = format!("{:?} is already the name of another task", task.name.value);
            self.problem(task.name.defined.line(), &format!("{field}.name"), &what);
        }
        if task.worker.value.trim().is_empty() {
            let what = "is empty; write {{.device_1}} and give device_1 in hardwareMap of the Workflow";
            self.problem(task.worker.defined.line(), &format!("{field}.worker"), what);
        }
        if task.actions.value.is_empty() {
            let what = "is empty; a task needs an action";
            self.problem(task.actions.defined.line(), &format!("{field}.actions"), what);
        }
        let mut names = BTreeSet::new();
        for (at, action) in task.actions.value.iter().enumerate() {
            let field = format!("{field}.actions[{at}]");
            self.name(&action.name, &format!("{field}.name"));
            if !names.insert(action.name.value.as_str()) {
                let what = format!("{:?} is already the name of another action", action.name.value);
                self.problem(action.name.defined.line(), &format!("{field}.name"), &what);
            }
            if !is_reference(&action.image.value) {
                let what = format!("{:?} is no image reference", action.image.value);
                self.problem(action.image.defined.line(), &format!("{field}.image"), &what);
            }
            self.seconds(action.timeout.as_ref(), &format!("{field}.timeout"));
        }
    }

    fn name(&mut self, name: &Spanned<String>, field: &str) {
        let length = name.value.len();
        if length == 0 || length > NAME_LIMIT {
            let what = format!("has {length} characters; 1 to {NAME_LIMIT} are allowed");
            self.problem(name.defined.line(), field, &what);
        }
    }

    fn seconds(&mut self, seconds: Option<&Spanned<i64>>, field: &str) {
        if let Some(seconds) = seconds.filter(|seconds| seconds.value < 0) {
            self.problem(seconds.defined.line(), field, "is less than 0 seconds");
        }
    }
}

/// Whether the text has the shape `[host[:port]/]path[:tag][@digest]` (OCI distribution spec, "pull").
fn is_reference(text: &str) -> bool {
    let (rest, digest) = text
        .split_once('@')
        .map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let plain = |part: &str, more: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if !digest.is_none_or(|digest| {
        digest
            .split_once(':')
            .is_some_and(|(kind, hash)| plain(kind, "+._-") && plain(hash, "=_-"))
    }) {
        return false;
    }
    let last = rest.rsplit('/').next().unwrap_or_default();
    let (last, tag) = last
        .split_once(':')
        .map_or((last, None), |(name, tag)| (name, Some(tag)));
    let before = rest.rsplit_once('/').map(|(before, _)| before);
    plain(last, "._-")
        && tag.is_none_or(|tag| plain(tag, "._-"))
        && before.is_none_or(|before| before.split('/').all(|part| plain(part, "._-:[]")))
}
