//! The user's own workflow (TinkerbellTemplateConfig), as it is carried out for one machine.
//!
//! Each text in it is rendered by itself, so what Go sees is what the user wrote between YAML's quotes, and the Template that is
//! made holds no Go any more. Three things are added, because without them the installed system never becomes a node: the seed
//! of its first boot, its users, and the image in the place from where the appliance serves it. And what the variants of
//! `writefile` and `reboot` that EKS Anywhere ships do beyond Tinkerbell's is done: a static network by `STATIC_NETPLAN`, and the
//! disk that the firmware is to start.

use agent_protocol::ActionKind;
use agent_protocol::environment::{
    BLOCK_DEVICE, CONTENTS, DEST_DISK, DEST_PATH, FIRST_BOOT_SCRIPT as SCRIPT, FS_TYPE, IMG_DIGEST,
    IMG_RAW_DIGEST, IMG_RAW_SIZE, IMG_URL, META_DATA, NETWORK_CONFIG, USER_DATA,
};
use kube::ResourceExt as _;
use node_config::{FIRST_BOOT_SCRIPT, HostNetwork, meta_data, network_config, network_file, user_data};
use resources::anywhere::{TinkerbellTemplateConfig, User};
use resources::gantry::DataMount;
use resources::tinkerbell::Hardware;
use resources::{ImageManifest, Mac, keys};
use serde_json::{Map, Value, json};

use crate::boot_nic::{boot_mac, hardware_map};

/// Settings of EKS Anywhere's `writefile` for Bottlerocket, whose machines are not installed.
const BOTTLEROCKET: [&str; 3] = ["BOOTCONFIG_CONTENTS", "HEGEL_URLS", "STATIC_BOTTLEROCKET"];
/// Setting of EKS Anywhere's `writefile`: the file holds the network of the Hardware.
const STATIC_NETPLAN: &str = "STATIC_NETPLAN";
/// cloud-init merges this file into what any of its sources gives.
const CLOUD_CONFIG: &str = "/etc/cloud/cloud.cfg.d/99-gantry.cfg";
const SEED_TIMEOUT: u32 = 90;

/// What an installed system is to get.
pub(crate) struct Additions<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) instance_id: &'a str,
    pub(crate) network: &'a HostNetwork,
    pub(crate) users: &'a [User],
    /// As the cluster's documents name the image.
    pub(crate) named_url: &'a str,
    /// Where the appliance serves it.
    pub(crate) image_url: &'a str,
    pub(crate) image: &'a ImageManifest,
    pub(crate) patience: u32,
}

/// Whether the user's own workflow can be carried out on this hardware, and makes a node.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_workflow(own: &TinkerbellTemplateConfig, hardware: &Hardware) -> Result<(), String> {
    let mac = boot_mac(hardware).map_err(|error| causes::line(&error))?;
    let workflow = rendered(own, hardware, mac)?;
    let yaml = serde_json::to_string_pretty(&workflow).map_err(|error| error.to_string())?;
    let document = template::parse(&own.name_any(), &yaml).map_err(|error| causes::line(&error))?;
    let mut problems = template::check(&document, |image| {
        ActionKind::native(image).map(ActionKind::leaves_installer)
    });
    problems.extend(Places::of(&workflow).err());
    problems.extend(DataMount::of(hardware).first().map(|mount| {
        format!(
            "the annotation {} of Hardware {} asks for a mount at {}, which only Gantry's own workflow makes; take the mounts out of \
             the annotation and mount the file systems in the template",
            keys::DATA_DISKS,
            hardware.name_any(),
            mount.path
        )
    }));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

/// The workflow with each of its texts rendered for this hardware; the error is for people.
pub(crate) fn rendered(
    own: &TinkerbellTemplateConfig,
    hardware: &Hardware,
    mac: Mac,
) -> Result<Value, String> {
    let data =
        template::data(&hardware_map(hardware, mac), Some(hardware)).map_err(|error| causes::line(&error))?;
    let mut workflow = own.spec.template.clone();
    render(&mut workflow, &own.name_any(), &data)?;
    Ok(workflow)
}

fn render(value: &mut Value, path: &str, data: &template::Value) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains("{{") => {
            *text = template::render(path, text, data).map_err(|error| causes::line(&error))?;
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                render(item, &format!("{path}[{at}]"), data)?;
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                render(field, &format!("{path}.{key}"), data)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Where in a rendered workflow things are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Task and action in front of which the seed is left.
    before: (usize, usize),
    /// Partition with the root file system, and its type.
    root: (String, String),
    /// Disk that the image goes to.
    disk: Option<String>,
}

impl Places {
    /// Finds them; the error says what the workflow lacks to make a node, or what can't be carried out.
    pub(crate) fn of(workflow: &Value) -> Result<Self, String> {
        let mut problems = Vec::new();
        let (mut before, mut disk) = ((0, 0), None);
        let (mut root, mut from_loader) = (None, None);
        for (place, action) in actions(workflow) {
            let kind = kind(action);
            before = match kind {
                Some(kind) if kind.leaves_installer() || kind == ActionKind::Seed => place,
                _ => (place.0, place.1 + 1),
            };
            match kind {
                Some(ActionKind::Image2disk) => disk = setting(action, DEST_DISK).or(disk),
                Some(ActionKind::Seed) => root = pair(action, DEST_DISK),
                Some(ActionKind::Writefile) => {
                    for name in BOTTLEROCKET.iter().filter(|name| setting(action, name).is_some()) {
                        problems.push(format!(
                            "tasks[{}].actions[{}].environment.{name} is for Bottlerocket, whose machines are not installed",
                            place.0, place.1
                        ));
                    }
                    let is_root = setting(action, DEST_PATH).is_some_and(|path| path.starts_with("/etc/"));
                    root = root.or_else(|| pair(action, DEST_DISK).filter(|_| is_root));
                }
                Some(ActionKind::Kexec | ActionKind::Handover) => from_loader = pair(action, BLOCK_DEVICE),
                _ => {}
            }
            if kind == Some(ActionKind::Seed) {
                break;
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let root = root.or(from_loader).ok_or(
            "no action writes a file below /etc, so nothing says which partition has the root file system, where the seed of \
             the first boot goes; add a writefile, or an action with image gantry/seed and DEST_DISK and FS_TYPE in its environment",
        )?;
        Ok(Self { before, root, disk })
    }
}

/// Tasks and actions by their places.
fn actions(workflow: &Value) -> impl Iterator<Item = ((usize, usize), &Value)> {
    let tasks = list(workflow, "tasks");
    tasks.iter().enumerate().flat_map(|(task_at, task)| {
        let actions = list(task, "actions");
        actions
            .iter()
            .enumerate()
            .map(move |(at, action)| ((task_at, at), action))
    })
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let items = value.get(name).and_then(Value::as_array);
    items.map(Vec::as_slice).unwrap_or_default()
}

fn kind(action: &Value) -> Option<ActionKind> {
    ActionKind::of_image(action.get("image")?.as_str()?)
}

/// A setting that is not empty, as text.
fn setting(action: &Value, name: &str) -> Option<String> {
    let text = match action.get("environment")?.get(name)? {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A partition and its file system.
fn pair(action: &Value, partition: &str) -> Option<(String, String)> {
    Some((setting(action, partition)?, setting(action, FS_TYPE)?))
}

/// As Go's `strconv.ParseBool` has it.
fn is_true(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True"].contains(&text)
}

/// The text of the Template: the rendered workflow with everything that is added.
pub(crate) fn completed(mut workflow: Value, additions: &Additions<'_>) -> Result<String, String> {
    let places = Places::of(&workflow)?;
    let tasks = workflow.get_mut("tasks").and_then(Value::as_array_mut);
    for task in tasks.into_iter().flatten() {
        let actions = task.get_mut("actions").and_then(Value::as_array_mut);
        for action in actions.into_iter().flatten() {
            complete(action, &places, additions);
        }
    }
    let (task, at) = places.before;
    if let Some(actions) = workflow
        .get_mut("tasks")
        .and_then(|tasks| tasks.get_mut(task)?.get_mut("actions")?.as_array_mut())
    {
        let left = left(&places, additions).map_err(|error| causes::line(&error))?;
        // One of the user's stays where it is, and gets what it has to leave.
        let own = actions
            .get(at)
            .is_some_and(|action| kind(action) == Some(ActionKind::Seed));
        let end = at + usize::from(own);
        actions.splice(at..end, left);
    }
    Ok(without_go(&workflow))
}

fn complete(action: &mut Value, places: &Places, additions: &Additions<'_>) {
    let kind = kind(action);
    let has = |action: &Value, name| setting(action, name).is_some();
    let mut found: Vec<(&str, String)> = Vec::new();
    match kind {
        Some(ActionKind::Image2disk)
            if setting(action, IMG_URL).is_some_and(|url| url.trim() == additions.named_url) =>
        {
            let image = additions.image;
            found.push((IMG_URL, additions.image_url.to_owned()));
            found.push((IMG_DIGEST, image.digest.to_string()));
            found.push((IMG_RAW_DIGEST, image.raw_digest.to_string()));
            found.push((IMG_RAW_SIZE, image.raw_size.to_string()));
        }
        Some(ActionKind::Writefile)
            if setting(action, STATIC_NETPLAN).is_some_and(|text| is_true(&text))
                && !has(action, CONTENTS) =>
        {
            let path = setting(action, DEST_PATH).unwrap_or_default();
            found.push((CONTENTS, network_file(&path, additions.network)));
        }
        Some(ActionKind::Reboot) if !has(action, DEST_DISK) && !has(action, BLOCK_DEVICE) => {
            found.extend(places.disk.clone().map(|disk| (DEST_DISK, disk)));
        }
        _ => {}
    }
    if found.is_empty() {
        return;
    }
    if let Some(action) = action.as_object_mut() {
        let environment = action
            .entry("environment")
            .or_insert_with(|| Value::Object(Map::new()));
        for (name, value) in found {
            environment[name] = value.into();
        }
    }
}

/// The actions that leave the users and the seed.
fn left(places: &Places, additions: &Additions<'_>) -> Result<[Value; 2], node_config::Error> {
    let (partition, fs_type) = &places.root;
    let users = user_data(additions.hostname, additions.users)?;
    let timeout = SEED_TIMEOUT.saturating_mul(additions.patience.max(1));
    let action = |name: &str, image: &str, mut environment: Value| {
        environment[DEST_DISK] = partition.as_str().into();
        environment[FS_TYPE] = fs_type.as_str().into();
        json!({ "name": name, "image": format!("gantry/{image}"), "timeout": timeout, "environment": environment })
    };
    let cloud_config = json!({ DEST_PATH: CLOUD_CONFIG, CONTENTS: users });
    let seed = json!({
        META_DATA: meta_data(additions.instance_id, additions.hostname)?,
        USER_DATA: users,
        NETWORK_CONFIG: network_config(additions.network),
        SCRIPT: FIRST_BOOT_SCRIPT,
    });
    Ok([
        action("gantry-write-users", "writefile", cloud_config),
        action("gantry-leave-first-boot-seed", "seed", seed),
    ])
}

/// JSON, which is YAML, in which nothing opens an action of Go's templates: within strings braces are escapes.
fn without_go(workflow: &Value) -> String {
    let json = serde_json::to_string_pretty(workflow).unwrap_or_default();
    let mut text = String::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for letter in json.chars() {
        match letter {
            '{' if inside => text.push_str("\\u007b"),
            '}' if inside => text.push_str("\\u007d"),
            _ => text.push(letter),
        }
        inside ^= letter == '"' && !escaped;
        escaped = inside && letter == '\\' && !escaped;
    }
    text
}

#[cfg(test)]
mod tests;
