//! An upgrade over several minor versions of Kubernetes, which goes through each of them: what the cluster is brought to next.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use resources::anywhere::TinkerbellMachineConfig;
use resources::gantry::Release;

use crate::bundle::{ClusterBundle, Group};
use crate::releases::{candidates, family_name};
use crate::rules::holds_digits;
use crate::version::version;
use crate::violation::Violation;

/// The minor versions that a cluster can be brought to: those of the Releases with a node image of its operating systems and its
/// CNI.
pub(crate) fn passable(bundle: &ClusterBundle, releases: &[Release]) -> BTreeSet<(u32, u32)> {
    let versions = releases.iter().map(|release| &release.spec.kubernetes_version);
    let is_passable = |version: &&String| {
        let pass = with_version(bundle, version);
        !candidates(&pass, version, releases).is_empty()
    };
    versions
        .filter(is_passable)
        .filter_map(|text| version(text))
        .collect()
}

/// The documents with one version for all machines.
fn with_version(bundle: &ClusterBundle, text: &str) -> ClusterBundle {
    let mut pass = bundle.clone();
    let spec = &mut pass.cluster.spec;
    text.clone_into(&mut spec.kubernetes_version);
    for group in &mut spec.worker_node_group_configurations {
        group.kubernetes_version = None;
    }
    pass
}

/// The minor versions between two versions, both without.
#[must_use]
pub fn versions_between(before: &str, after: &str) -> Vec<String> {
    let (Some(before), Some(after)) = (version(before), version(after)) else {
        return Vec::new();
    };
    let between = before.1.saturating_add(1)..after.1;
    let between = between.filter(|_| before.0 == after.0);
    between.map(|minor| format!("{}.{minor}", before.0)).collect()
}

/// The documents of the next pass, where the wanted version is more than one minor version above the one that the machines are
/// made from; `None` where it is not. `images` gives the URLs of the images that hold the Kubernetes of a Release, for an operating
/// system family as cluster YAML spells it.
///
/// # Errors
/// The Release or image that is missing.
pub fn next_pass(
    known: &ClusterBundle,
    wanted: &ClusterBundle,
    releases: &[Release],
    images: impl Fn(&Release, &str) -> Vec<String>,
) -> Result<Option<ClusterBundle>, Violation> {
    let of = |bundle: &ClusterBundle| version(&bundle.cluster.spec.kubernetes_version);
    let (Some(before), Some(after)) = (of(known), of(wanted)) else {
        return Ok(None);
    };
    let next = (before.0, before.1.saturating_add(1));
    if before.0 != after.0 || after <= next {
        return Ok(None);
    }
    let text = format!("{}.{}", next.0, next.1);
    // Also the groups that are to be behind in the end: they would be two versions behind there without having come this far.
    let mut pass = with_version(wanted, &text);
    let (from, to) = (
        &known.cluster.spec.kubernetes_version,
        &wanted.cluster.spec.kubernetes_version,
    );
    let missing = |what: String| Violation {
        kind: "Cluster",
        name: wanted.name(),
        path: "spec.kubernetesVersion".to_owned(),
        message: format!("the way from Kubernetes {from} to {to} goes through {text}, and {what}"),
        next_step: format!("apply it, and the upgrade begins; or put {from} back"),
    };
    if wanted
        .virtual_site
        .as_ref()
        .is_some_and(|site| site.vsphere().is_some())
    {
        return Err(missing(
            "nothing says which template has it: write this version and its template first".to_owned(),
        ));
    }
    let found = candidates(&pass, &text, releases);
    let Some(newest) = found.first() else {
        return Err(missing(format!(
            "no Release has Kubernetes {text} with a node image of the cluster's osFamily and CNI"
        )));
    };
    let own = own_urls(wanted, &text);
    // What a group keeps in the end it gets at once.
    let image_url = |release: &Release, name: &str, config: &TinkerbellMachineConfig| {
        let family = config.spec.os_family.map(family_name)?;
        let urls = images(release, family);
        let own = own.get(name).filter(|own| urls.contains(own));
        let mut urls = urls.iter();
        own.or_else(|| urls.find(|url| holds_digits(url, &text))).cloned()
    };
    let configs = || {
        let configs = pass.machine_configs.iter();
        configs.filter(|(_, config)| config.spec.os_family.is_some())
    };
    let has_all =
        |release: &&&Release| configs().all(|(name, config)| image_url(release, name, config).is_some());
    let keeps_own = |release: &&&Release| {
        configs().all(|(name, config)| {
            own.get(name)
                .is_none_or(|own| image_url(release, name, config).as_ref() == Some(own))
        })
    };
    let release = found
        .iter()
        .find(|release| has_all(release) && keeps_own(release))
        .or_else(|| found.iter().find(has_all))
        .unwrap_or(newest);
    let mut urls = BTreeMap::new();
    for (name, config) in configs() {
        let url = image_url(release, name, config).ok_or_else(|| {
            missing(format!(
                "no Image with {text} in its URL holds Kubernetes {} on {}",
                release.spec.patch_version,
                config.spec.os_family.map(family_name).unwrap_or_default()
            ))
        })?;
        urls.insert(name.clone(), url);
    }
    for (name, url) in urls {
        // One of the two has it.
        match (
            &mut pass.datacenter.spec.os_image_url,
            pass.machine_configs.get_mut(&name),
        ) {
            (Some(shared), _) => *shared = url,
            (None, Some(config)) => config.spec.os_image_url = Some(url),
            (None, None) => {}
        }
    }
    Ok(Some(pass))
}

/// The images of the machine configurations whose groups stay at this version in the end.
fn own_urls(wanted: &ClusterBundle, minor: &str) -> BTreeMap<String, String> {
    let groups = wanted.groups_of(minor);
    let url = |group: &Group<'_>| {
        let config = group.metal()?;
        Some((config.name_any(), wanted.image_url(config)?.to_owned()))
    };
    groups.iter().filter_map(url).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::releases::tests::releases;

    fn bundle(version: &str) -> ClusterBundle {
        let text = include_str!("../tests/good.yaml")
            .replace("1.35", version)
            .replace("1-35", version);
        crate::parse(&text, "good.yaml", &all()).unwrap()
    }

    fn all() -> Vec<Release> {
        let mut all = releases(&["v1.33.1", "v1.34.2", "v1.34.3", "v1.35.0", "v1.36.0"]);
        for release in &mut all {
            let minor = release.spec.patch_version[1..5].to_owned();
            release.spec.kubernetes_version = minor;
        }
        all
    }

    fn url(patch: &str) -> String {
        format!("file:///srv/debian-13-{patch}.raw.zst")
    }

    #[test]
    fn an_upgrade_goes_through_each_minor_version() {
        let (known, wanted) = (bundle("1.33"), bundle("1.36"));
        let images =
            |release: &Release, _: &str| vec!["file:///srv/x".to_owned(), url(&release.spec.patch_version)];
        let pass = next_pass(&known, &wanted, &all(), images).unwrap().unwrap();
        assert_eq!(pass.cluster.spec.kubernetes_version, "1.34");
        for config in pass.machine_configs.values() {
            assert_eq!(
                pass.image_url(config),
                Some(url("v1.34.3").as_str()),
                "the newest patch"
            );
        }
        assert_eq!(crate::validate(&pass, &all()), []);
        assert_eq!(crate::check_update(&known, &pass, &all()), []);
        let pass = next_pass(&pass, &wanted, &all(), images).unwrap().unwrap();
        assert_eq!(pass.cluster.spec.kubernetes_version, "1.35");
        // The last step is the wanted one itself.
        assert_eq!(next_pass(&pass, &wanted, &all(), images), Ok(None));
        assert_eq!(next_pass(&wanted, &wanted, &all(), images), Ok(None));
    }

    #[test]
    fn an_older_patch_whose_image_is_there_will_do() {
        let images = |release: &Release, _: &str| match release.spec.patch_version.as_str() {
            "v1.34.2" => vec![url("v1.34.2")],
            _ => Vec::new(),
        };
        let pass = next_pass(&bundle("1.33"), &bundle("1.35"), &all(), images);
        let pass = pass.unwrap().unwrap();
        let config = pass.machine_configs.values().next().unwrap();
        assert_eq!(pass.image_url(config), Some(url("v1.34.2").as_str()));
    }

    #[test]
    fn what_is_missing_on_the_way_is_named() {
        let none = |_: &Release, _: &str| Vec::new();
        let why = next_pass(&bundle("1.33"), &bundle("1.35"), &all(), none).unwrap_err();
        assert!(
            why.message
                .contains("from Kubernetes 1.33 to 1.35 goes through 1.34"),
            "{why}"
        );
        assert!(
            why.message.contains("holds Kubernetes v1.34.3 on debian"),
            "{why}"
        );
        let mut few = all();
        few.retain(|release| release.spec.kubernetes_version != "1.34");
        let why = next_pass(&bundle("1.33"), &bundle("1.35"), &few, none).unwrap_err();
        assert!(why.message.contains("no Release has Kubernetes 1.34"), "{why}");
        let refused = crate::check_update(&bundle("1.33"), &bundle("1.35"), &few);
        assert_eq!(refused.len(), 1);
        assert!(
            refused[0].message.contains("goes through 1.34, and no Release"),
            "{}",
            refused[0]
        );
        assert_eq!(crate::check_update(&bundle("1.33"), &bundle("1.35"), &all()), []);
    }

    #[test]
    fn versions_between_two() {
        assert_eq!(versions_between("1.33", "v1.36"), ["1.34", "1.35"]);
        for (before, after) in [
            ("1.33", "1.34"),
            ("1.33", "1.33"),
            ("1.35", "1.33"),
            ("1.33", "2.40"),
            ("1.33", "x"),
        ] {
            assert_eq!(versions_between(before, after), [""; 0], "{before} {after}");
        }
    }
}
