//! Which disk an action means: its name or the hints of the Hardware are resolved once, and the identity that they stand
//! for is pinned in the Server before the action is handed out.
//!
//! A pin holds for later boots and attempts. It changes only when the Hardware says so: another name, other hints, or
//! the annotation that gives up a disk that is gone.

use std::collections::HashMap;

use agent_protocol::environment::{BLOCK_DEVICE, DEST_DISK};
use agent_protocol::v1;
use resources::gantry::{DataDisk, InventoryDisk, PinnedDisk, RootDeviceHints};
use resources::tinkerbell::Hardware;
use resources::{DiskName, DiskNameError, keys};

use super::hints::{is_called, mismatches};

/// Pins that a Server keeps: those of the newest attempts.
const PINS: usize = 16;

/// What a Hardware says of its disks.
#[derive(Debug, Default)]
pub(crate) struct DiskRules {
    /// Name of the disk to install to.
    target: Option<String>,
    /// What chooses that disk in place of its name.
    hints: Option<RootDeviceHints>,
    removable_allowed: bool,
    /// Identity of a pinned disk that is given up.
    forget: Option<String>,
    /// Disks that nothing writes to.
    data_disks: Vec<DataDisk>,
}

/// Pins that have to be committed.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    /// All pins of the Server from now on.
    pub(crate) pins: Vec<PinnedDisk>,
    /// For the action's log.
    pub(crate) note: String,
    /// Old and new disk, when the name stood for another one in an earlier attempt.
    pub(crate) replaces: Option<String>,
}

impl DiskRules {
    /// Reads the Hardware.
    pub(crate) fn of(hardware: &Hardware) -> Result<Self, String> {
        let annotation = |key: &str| {
            let annotations = hardware.metadata.annotations.as_ref()?;
            annotations
                .get(key)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let hints = annotation(keys::ROOT_DEVICE_HINTS).map(serde_json::from_str::<RootDeviceHints>);
        let hints = hints.transpose().map_err(|error| {
            format!(
                "annotation {} of the Hardware is not valid: {error}; write JSON such as {{\"serialNumber\": \"...\"}}",
                keys::ROOT_DEVICE_HINTS
            )
        })?;
        Ok(Self {
            target: hardware.spec.disks.first().and_then(|disk| disk.device.clone()),
            hints: hints.filter(|hints| *hints != RootDeviceHints::default()),
            removable_allowed: annotation(keys::ALLOW_REMOVABLE_DISK) == Some("true"),
            forget: annotation(keys::FORGET_DISK).map(str::to_owned),
            data_disks: DataDisk::of(hardware)?,
        })
    }

    fn hints_for(&self, name: &str) -> Option<&RootDeviceHints> {
        self.hints
            .as_ref()
            .filter(|_| self.target.as_deref() == Some(name))
    }

    fn is_data_disk(&self, serial: Option<&String>, wwn: Option<&String>) -> bool {
        let is = |data_disk: &DataDisk| data_disk.is(serial.map(String::as_str), wwn.map(String::as_str));
        self.data_disks.iter().any(is)
    }

    fn gives_up(&self, pin: &PinnedDisk) -> bool {
        let forget = self.forget.as_ref();
        forget.is_some()
            && [&pin.serial, &pin.wwn, &pin.path]
                .iter()
                .any(|part| part.as_ref() == forget)
    }
}

/// Names of the whole disks that an action's settings name.
pub(crate) fn wanted(environment: &HashMap<String, String>) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for setting in [DEST_DISK, BLOCK_DEVICE] {
        let value = environment
            .get(setting)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty());
        let Some(value) = value else { continue };
        let name: DiskName = value
            .parse()
            .map_err(|error: DiskNameError| format!("{setting} {value:?} {error}; {}", error.next_step()))?;
        if !names.iter().any(|known| known == name.disk()) {
            names.push(name.disk().to_owned());
        }
    }
    Ok(names)
}

/// Pins the disk that `name` stands for in attempt `attempt`. `None`: it is pinned for this attempt. The error is for
/// people, and lists the disks that there are.
pub(crate) fn pin(
    name: &str,
    pins: &[PinnedDisk],
    disks: &[InventoryDisk],
    rules: &DiskRules,
    attempt: u64,
) -> Result<Option<Change>, String> {
    let hints = rules.hints_for(name);
    let known = pins.iter().find(|pin| pin.name == name);
    if let Some(pin) = known.filter(|pin| pin.attempt == attempt) {
        return match rules.is_data_disk(pin.serial.as_ref(), pin.wwn.as_ref()) {
            false => Ok(None),
            true => Err(no_writing(name, &summary(pin))),
        };
    }
    let kept = known.filter(|pin| pin.hints.as_ref() == hints && !rules.gives_up(pin));
    let disk = match kept {
        Some(pin) => again(pin, disks)?,
        None => choose(name, hints, disks, rules)?,
    };
    if rules.is_data_disk(disk.serial.as_ref(), disk.wwn.as_ref()) {
        return Err(no_writing(name, &title(disk)));
    }
    let exclusion = disk.exclusion().filter(|_| !rules.removable_allowed);
    if let Some(reason) = exclusion.or(disk.read_only.then_some("a read-only device")) {
        return Err(format!(
            "{name} is {}, and nothing is written to {reason}; name another disk in the Hardware, or \
             allow removable and USB devices there with the annotation {}: \"true\"; the machine has {}",
            title(disk),
            keys::ALLOW_REMOVABLE_DISK,
            listing(disks)
        ));
    }
    let pinned = identity(name, hints, disk, disks, attempt)?;
    let earlier = replaced(name, pins, rules, attempt).filter(|earlier| !same(earlier, &pinned));
    let held = match disk.contents.as_slice() {
        [] => "nothing known lies on it".to_owned(),
        contents => format!("on it: {}", contents.join(", ")),
    };
    let by_path = match &pinned.path {
        Some(path) => format!(", told by its place {path}, because serial number and WWN do not tell it"),
        None => String::new(),
    };
    let note = format!("{name} is {}{by_path}; {held}", title(disk));
    let replaces = earlier.map(|earlier| {
        format!(
            "attempt {attempt} uses {} ({}) as {name}; attempt {} used {} as {}",
            disk.device,
            summary(&pinned),
            earlier.attempt,
            summary(earlier),
            earlier.name
        )
    });
    let mut all = vec![pinned];
    all.extend(pins.iter().filter(|pin| pin.name != name).cloned());
    all.sort_by_key(|pin| std::cmp::Reverse(pin.attempt));
    all.truncate(PINS);
    Ok(Some(Change {
        pins: all,
        note,
        replaces,
    }))
}

/// The disk that an earlier attempt has written to under this name, for a wipe: it is never resolved anew, whatever the
/// Hardware says now. The error is for people.
pub(crate) fn written<'a>(
    name: &str,
    pins: &'a [PinnedDisk],
    disks: &[InventoryDisk],
    rules: &DiskRules,
) -> Result<&'a PinnedDisk, String> {
    let pin = pins.iter().find(|pin| pin.name == name).ok_or_else(|| {
        format!(
            "no attempt of this server has written to a disk that it called {name}, and nothing else is wiped; the server's \
             spec.disks lists those that were written to"
        )
    })?;
    if rules.is_data_disk(pin.serial.as_ref(), pin.wwn.as_ref()) {
        return Err(no_writing(name, &summary(pin)));
    }
    only(pin, disks, || {
        "put the disk back, or have the server given back without a wipe (gantry release server NAME --powered-off --unwiped)"
            .to_owned()
    })
    .map(|_| pin)
}

/// The pinned disk among those that the machine has now.
fn again<'a>(pin: &PinnedDisk, disks: &'a [InventoryDisk]) -> Result<&'a InventoryDisk, String> {
    let forget = [&pin.serial, &pin.wwn, &pin.path].into_iter().flatten().next();
    only(pin, disks, || {
        format!(
            "put the disk back, name another one in the Hardware, or give it up there with the annotation {}: {:?}",
            keys::FORGET_DISK,
            forget.map_or("", String::as_str)
        )
    })
}

/// The one disk with the identity of the pin; `next_step` is what to do where there is none.
fn only<'a>(
    pin: &PinnedDisk,
    disks: &'a [InventoryDisk],
    next_step: impl FnOnce() -> String,
) -> Result<&'a InventoryDisk, String> {
    let same: Vec<_> = disks.iter().filter(|disk| is_pinned(disk, pin)).collect();
    match same.as_slice() {
        [disk] => Ok(*disk),
        [] => Err(format!(
            "{} was {} in attempt {}, and the machine has no such disk now; it has {}; {}",
            pin.name,
            summary(pin),
            pin.attempt,
            listing(disks),
            next_step()
        )),
        several => Err(format!(
            "{} is {}, and {} disks have that identity (several paths to one disk?); the machine has {}",
            pin.name,
            summary(pin),
            several.len(),
            listing(disks)
        )),
    }
}

/// The one disk that a name or hints stand for.
fn choose<'a>(
    name: &str,
    hints: Option<&RootDeviceHints>,
    disks: &'a [InventoryDisk],
    rules: &DiskRules,
) -> Result<&'a InventoryDisk, String> {
    if disks.is_empty() {
        return Err(format!(
            "{name}: the agent reports no disk; is a driver or a cable missing?"
        ));
    }
    let found: Vec<_> = match hints {
        None => disks.iter().filter(|disk| is_called(disk, name)).collect(),
        // Hints choose among ordinary disks; a name may mean a stick, and is then refused with that reason.
        Some(hints) => disks
            .iter()
            .filter(|disk| mismatches(hints, disk).is_empty())
            .filter(|disk| rules.removable_allowed || disk.exclusion().is_none())
            .filter(|disk| !rules.is_data_disk(disk.serial.as_ref(), disk.wwn.as_ref()))
            .collect(),
    };
    match (found.as_slice(), hints) {
        ([disk], _) => Ok(*disk),
        ([], None) => Err(format!(
            "no disk is called {name}; the machine has {}",
            listing(disks)
        )),
        ([], Some(hints)) => {
            let each: Vec<String> = disks
                .iter()
                .map(|disk| {
                    let mut why = mismatches(hints, disk);
                    why.extend(disk.exclusion().map(|exclusion| format!("it is {exclusion}")));
                    let kept = rules.is_data_disk(disk.serial.as_ref(), disk.wwn.as_ref());
                    why.extend(kept.then(|| "it is a data disk".to_owned()));
                    format!("{}: {}", title(disk), why.join(", "))
                })
                .collect();
            Err(format!(
                "no disk matches all root device hints of the Hardware: {}",
                each.join("; ")
            ))
        }
        (several, None) => Err(format!(
            "{} disks are called {name}; the machine has {}",
            several.len(),
            listing(disks)
        )),
        (several, Some(_)) => {
            let titles: Vec<String> = several.iter().map(|disk| title(disk)).collect();
            Err(format!(
                "{} disks match the root device hints of the Hardware: {}; add a hint that only one matches, such as \
                 serialNumber",
                several.len(),
                titles.join("; ")
            ))
        }
    }
}

/// What tells the disk from every other one of the machine.
fn identity(
    name: &str,
    hints: Option<&RootDeviceHints>,
    disk: &InventoryDisk,
    disks: &[InventoryDisk],
    attempt: u64,
) -> Result<PinnedDisk, String> {
    let with_start = |start: &str| disk.names.iter().find(|name| name.starts_with(start)).cloned();
    let mut pinned = PinnedDisk {
        name: name.to_owned(),
        hints: hints.cloned(),
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        size: disk.size,
        path: None,
        id: with_start("/dev/disk/by-id/"),
        model: disk.model.clone(),
        attempt,
        contents: disk.contents.clone(),
    };
    let unique = |pinned: &PinnedDisk| disks.iter().filter(|disk| is_pinned(disk, pinned)).count() == 1;
    if (pinned.serial.is_none() && pinned.wwn.is_none()) || !unique(&pinned) {
        pinned.path = with_start("/dev/disk/by-path/");
        if pinned.path.is_none() || !unique(&pinned) {
            return Err(format!(
                "{name} is {}, which neither serial number, WWN nor place tell from another disk; name another one in \
                 the Hardware; the machine has {}",
                title(disk),
                listing(disks)
            ));
        }
    }
    Ok(pinned)
}

/// The pin of an earlier attempt that this one takes the place of.
fn replaced<'a>(
    name: &str,
    pins: &'a [PinnedDisk],
    rules: &DiskRules,
    attempt: u64,
) -> Option<&'a PinnedDisk> {
    let of_name = pins.iter().find(|pin| pin.name == name);
    let target_is_new = rules.target.as_deref() == Some(name) && pins.iter().all(|pin| pin.attempt < attempt);
    of_name.or_else(|| {
        pins.iter()
            .max_by_key(|pin| pin.attempt)
            .filter(|_| target_is_new)
    })
}

fn same(one: &PinnedDisk, other: &PinnedDisk) -> bool {
    let part = |pin: &PinnedDisk| (pin.serial.clone(), pin.wwn.clone(), pin.size, pin.path.clone());
    part(one) == part(other)
}

fn is_pinned(disk: &InventoryDisk, pin: &PinnedDisk) -> bool {
    let at_its_place = pin.path.as_ref().is_none_or(|path| disk.names.contains(path));
    disk.serial == pin.serial && disk.wwn == pin.wwn && disk.size == pin.size && at_its_place
}

/// The pinned disk as the agent gets it.
pub(crate) fn for_agent(pin: &PinnedDisk, rules: &DiskRules) -> v1::PinnedDisk {
    v1::PinnedDisk {
        name: pin.name.clone(),
        serial: pin.serial.clone().unwrap_or_default(),
        wwn: pin.wwn.clone().unwrap_or_default(),
        size: pin.size,
        path: pin.path.clone().unwrap_or_default(),
        removable_allowed: rules.removable_allowed,
    }
}

fn no_writing(name: &str, disk: &str) -> String {
    format!(
        "{name} is {disk}, and that is a data disk, to which nothing is written; name another disk in the Hardware, or take this one \
         out of the annotation {} there",
        keys::DATA_DISKS
    )
}

fn listing(disks: &[InventoryDisk]) -> String {
    match disks {
        [] => "no disks".to_owned(),
        disks => disks.iter().map(title).collect::<Vec<_>>().join("; "),
    }
}

fn title(disk: &InventoryDisk) -> String {
    let name = disk
        .names
        .first()
        .map_or(String::new(), |name| format!(" = {name}"));
    let exclusion = disk
        .exclusion()
        .map_or(String::new(), |reason| format!(", {reason}"));
    let parts = parts(
        disk.model.as_ref(),
        disk.serial.as_ref(),
        disk.wwn.as_ref(),
        disk.size,
    );
    format!("{}{name} ({parts}{exclusion})", disk.device)
}

fn summary(pin: &PinnedDisk) -> String {
    let place = pin
        .path
        .as_ref()
        .map_or(String::new(), |path| format!(", at {path}"));
    parts(
        pin.model.as_ref(),
        pin.serial.as_ref(),
        pin.wwn.as_ref(),
        pin.size,
    ) + &place
}

fn parts(model: Option<&String>, serial: Option<&String>, wwn: Option<&String>, size: u64) -> String {
    let known = [("", model), ("serial number ", serial), ("WWN ", wwn)];
    let known = known
        .iter()
        .filter_map(|(what, value)| Some(format!("{what}{}, ", value.as_ref()?)));
    format!("{}{size} bytes", known.collect::<String>())
}

#[cfg(test)]
mod tests;
