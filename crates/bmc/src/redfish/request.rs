//! Pure decisions: which request does an action, and whether an answer confirms it.

use serde_json::{Value, json};

use super::model::{Collection, System};
use super::quirks::Quirks;
use crate::{BootOverride, Error, PowerAction};

/// A call of `#ComputerSystem.Reset`.
#[derive(Debug, PartialEq)]
pub(super) struct Reset {
    pub(super) target: String,
    pub(super) body: Value,
}

/// The only system, or the wanted one (by the last part of its path).
pub(super) fn choose_system(host: &str, systems: &Collection, wanted: Option<&str>) -> Result<String, Error> {
    let name = |id: &str| {
        id.trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let names = || {
        systems
            .members
            .iter()
            .take(16)
            .map(|m| name(&m.id))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (wanted, systems.members.as_slice()) {
        (Some(wanted), members) => members
            .iter()
            .find(|member| name(&member.id) == wanted)
            .map(|member| member.id.clone())
            .ok_or_else(|| Error::SystemMissing {
                host: host.to_owned(),
                wanted: wanted.to_owned(),
                found: names(),
            }),
        (None, [only]) => Ok(only.id.clone()),
        (None, []) => Err(Error::SystemMissing {
            host: host.to_owned(),
            wanted: "any".to_owned(),
            found: "none".to_owned(),
        }),
        (None, _) => Err(Error::SystemAmbiguous {
            host: host.to_owned(),
            found: names(),
        }),
    }
}

/// The reset request of an action: the vendor's best type that the BMC offers.
pub(super) fn reset(
    host: &str,
    system: &System,
    quirks: &Quirks,
    action: PowerAction,
) -> Result<Reset, Error> {
    let unsupported = |offered: String| Error::Unsupported {
        host: host.to_owned(),
        action: format!("power {action}"),
        offered,
    };
    let offer = system
        .actions
        .as_ref()
        .and_then(|actions| actions.reset.as_ref())
        .ok_or_else(|| unsupported("no reset action".to_owned()))?;
    let wanted = (quirks.reset_types)(action);
    let chosen = match &offer.types {
        None => wanted.first(),
        Some(types) => wanted
            .iter()
            .find(|wanted| types.iter().any(|offered| offered == *wanted)),
    };
    let chosen = chosen.ok_or_else(|| unsupported(list(offer.types.as_deref())))?;
    Ok(Reset {
        target: offer.target.clone(),
        body: json!({ "ResetType": chosen }),
    })
}

/// The PATCH that sets the boot source. The mode is left out where the BMC has no such property.
pub(super) fn boot_patch(
    host: &str,
    system: &System,
    quirks: &Quirks,
    wanted: BootOverride,
) -> Result<Value, Error> {
    let unsupported = |action: String, offered: String| Error::Unsupported {
        host: host.to_owned(),
        action,
        offered,
    };
    let boot = system.boot.as_ref().ok_or_else(|| {
        unsupported(
            "to choose the boot source".to_owned(),
            "no boot settings".to_owned(),
        )
    })?;
    let target = wanted.device.redfish();
    if boot
        .targets
        .as_ref()
        .is_some_and(|targets| !targets.iter().any(|t| t == target))
    {
        return Err(unsupported(
            format!("boot from {}", wanted.device),
            list(boot.targets.as_deref()),
        ));
    }
    let enabled = wanted.lasts.redfish();
    let mut settings = json!({ "BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target });
    if quirks.writes_boot_mode && boot.boot_source_override_mode.is_some() {
        let mode = wanted.mode.redfish();
        if boot
            .modes
            .as_ref()
            .is_some_and(|modes| !modes.iter().any(|m| m == mode))
        {
            return Err(unsupported(format!("{mode} boot"), list(boot.modes.as_deref())));
        }
        settings["BootSourceOverrideMode"] = json!(mode);
    }
    Ok(json!({ "Boot": settings }))
}

/// Whether the BMC now shows what was asked for.
pub(super) fn boot_confirmed(host: &str, system: &System, wanted: BootOverride) -> Result<(), Error> {
    let boot = system.boot.as_ref();
    let enabled = boot
        .and_then(|b| b.boot_source_override_enabled.as_deref())
        .unwrap_or("nothing");
    let target = boot
        .and_then(|b| b.boot_source_override_target.as_deref())
        .unwrap_or("nothing");
    let shown_mode = boot.and_then(|b| b.boot_source_override_mode.as_deref());
    let right_mode = shown_mode.is_none_or(|shown| shown == wanted.mode.redfish());
    if enabled == wanted.lasts.redfish() && target == wanted.device.redfish() && right_mode {
        return Ok(());
    }
    Err(Error::BootNotSet {
        host: host.to_owned(),
        wanted: wanted.to_string(),
        shown: format!("{enabled} {target} ({})", shown_mode.unwrap_or("no mode")),
    })
}

fn list(values: Option<&[String]>) -> String {
    match values {
        Some(values) if !values.is_empty() => values.iter().take(16).cloned().collect::<Vec<_>>().join(", "),
        _ => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::quirks;
    use super::*;
    use crate::{BootDevice, BootLasts, BootMode};

    const PXE: BootOverride = BootOverride::once(BootDevice::Pxe, BootMode::Uefi);

    fn system(value: Value) -> System {
        serde_json::from_value(value).unwrap()
    }

    fn with_types(types: &[&str]) -> System {
        system(json!({"Actions": {"#ComputerSystem.Reset": {
            "target": "/r", "ResetType@Redfish.AllowableValues": types }}}))
    }

    #[test]
    fn reset_types_by_offer() {
        let quirks = quirks::of(None, None);
        for (action, offered, expected) in [
            (PowerAction::On, vec!["On", "ForceOff"], Some("On")),
            (PowerAction::On, vec!["ForceOn"], Some("ForceOn")),
            (PowerAction::Off, vec!["On", "ForceOff"], Some("ForceOff")),
            (PowerAction::Off, vec!["On"], None),
            (
                PowerAction::Soft,
                vec!["PushPowerButton"],
                Some("PushPowerButton"),
            ),
            (PowerAction::Cycle, vec!["ForceRestart"], Some("ForceRestart")),
            (
                PowerAction::Cycle,
                vec!["ForceRestart", "PowerCycle"],
                Some("PowerCycle"),
            ),
            (
                PowerAction::Reset,
                vec!["ForceRestart", "PowerCycle"],
                Some("ForceRestart"),
            ),
        ] {
            let got = reset("h", &with_types(&offered), quirks, action);
            match expected {
                Some(kind) => assert_eq!(
                    got.unwrap().body,
                    json!({"ResetType": kind}),
                    "{action} {offered:?}"
                ),
                None => assert!(
                    matches!(got, Err(Error::Unsupported { .. })),
                    "{action} {offered:?}"
                ),
            }
        }
        let silent = system(json!({"Actions": {"#ComputerSystem.Reset": {"target": "/r"}}}));
        assert_eq!(
            reset("h", &silent, quirks, PowerAction::Cycle).unwrap().body["ResetType"],
            "PowerCycle"
        );
        assert!(reset("h", &system(json!({})), quirks, PowerAction::On).is_err());
    }

    #[test]
    fn boot_patches() {
        let quirks = quirks::of(None, None);
        let patch = |boot: Value, mode| {
            boot_patch(
                "h",
                &system(json!({ "Boot": boot })),
                quirks,
                BootOverride::once(BootDevice::Pxe, mode),
            )
        };
        let both = json!({"BootSourceOverrideMode": "Legacy"});
        assert_eq!(
            patch(both, BootMode::Uefi).unwrap(),
            json!({"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe",
                            "BootSourceOverrideMode": "UEFI"}})
        );
        let no_mode = json!({"BootSourceOverrideTarget": "None"});
        assert!(
            patch(no_mode, BootMode::Uefi).unwrap()["Boot"]
                .get("BootSourceOverrideMode")
                .is_none()
        );
        let no_pxe = json!({"BootSourceOverrideTarget@Redfish.AllowableValues": ["Hdd"]});
        assert!(matches!(
            patch(no_pxe, BootMode::Uefi),
            Err(Error::Unsupported { .. })
        ));
        let uefi_only = json!({"BootSourceOverrideMode": "UEFI",
            "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI"]});
        assert!(matches!(
            patch(uefi_only, BootMode::Legacy),
            Err(Error::Unsupported { .. })
        ));
        assert!(boot_patch("h", &system(json!({})), quirks, PXE).is_err());
    }

    #[test]
    fn only_a_shown_override_counts() {
        let shown = |enabled: &str, target: &str, mode: Option<&str>| {
            let system = system(json!({"Boot": {"BootSourceOverrideEnabled": enabled,
                "BootSourceOverrideTarget": target, "BootSourceOverrideMode": mode}}));
            boot_confirmed("h", &system, PXE)
        };
        assert!(shown("Once", "Pxe", Some("UEFI")).is_ok());
        assert!(shown("Once", "Pxe", None).is_ok());
        for (enabled, target, mode) in [
            ("Disabled", "None", Some("UEFI")),
            ("Continuous", "Pxe", Some("UEFI")),
            ("Once", "Hdd", Some("UEFI")),
            ("Once", "Pxe", Some("Legacy")),
        ] {
            let error = shown(enabled, target, mode).unwrap_err();
            assert!(error.retryable(), "{error}");
        }
        let always = BootOverride {
            lasts: BootLasts::Always,
            ..PXE
        };
        let shown = |enabled: &str| {
            let boot =
                json!({"Boot": {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": "Pxe"}});
            boot_confirmed("h", &system(boot), always)
        };
        assert!(shown("Continuous").is_ok() && shown("Once").is_err());
        assert!(boot_confirmed("h", &system(json!({})), PXE).is_err());
    }

    #[test]
    fn choice_of_the_system() {
        let of = |ids: &[&str]| -> Collection {
            let members: Vec<Value> = ids.iter().map(|id| json!({"@odata.id": id})).collect();
            serde_json::from_value(json!({ "Members": members })).unwrap()
        };
        let two = of(&["/redfish/v1/Systems/1", "/redfish/v1/Systems/HGX/"]);
        assert_eq!(choose_system("h", &of(&["/s/1"]), None).unwrap(), "/s/1");
        assert_eq!(
            choose_system("h", &two, Some("HGX")).unwrap(),
            "/redfish/v1/Systems/HGX/"
        );
        assert!(matches!(
            choose_system("h", &two, None),
            Err(Error::SystemAmbiguous { .. })
        ));
        assert!(matches!(
            choose_system("h", &two, Some("2")),
            Err(Error::SystemMissing { .. })
        ));
        assert!(matches!(
            choose_system("h", &of(&[]), None),
            Err(Error::SystemMissing { .. })
        ));
    }
}
