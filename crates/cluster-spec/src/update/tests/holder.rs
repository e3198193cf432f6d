//! What holds the control-plane address: chosen when a cluster is made, kept afterwards.

use resources::gantry::ComponentImage;

use super::*;
use crate::remarks::remarks;
use crate::rules::validate;
use crate::{AddressHolder, address_holder, kube_vip_image};

const IMAGE: &str = "mirror.example:5000/kube-vip:v1.1.0";

/// The component of a Release.
pub(super) fn kube_vip() -> ComponentImage {
    ComponentImage {
        name: "kube-vip".to_owned(),
        image: "ghcr.io/kube-vip/kube-vip:v1.2.0".to_owned(),
        digest: None,
    }
}

fn annotated(annotations: &[(&str, &str)]) -> ClusterBundle {
    let mut bundle = bundle();
    for (key, value) in annotations {
        let known = bundle.cluster.annotations_mut();
        known.insert((*key).to_owned(), (*value).to_owned());
    }
    bundle
}

/// Paths and messages of what is wrong, without next steps.
fn wrong(bundle: &ClusterBundle, component: Option<ComponentImage>) -> Vec<String> {
    let mut releases = crate::releases::tests::releases(&["v1.35.4"]);
    releases[0].spec.components.extend(component);
    let found = validate(bundle, &releases);
    found
        .iter()
        .map(|fault| format!("{}: {}", fault.path, fault.message))
        .collect()
}

#[test]
fn wrong_annotations_are_refused_by_name() {
    let vip = "metadata.annotations[gantry.dev/control-plane-vip]";
    let image = "metadata.annotations[gantry.dev/kube-vip-image]";
    for (annotations, expected) in [
        (
            &[(CONTROL_PLANE_VIP, "kubevip")][..],
            format!("{vip}: \"kubevip\" is nothing that holds the control-plane address"),
        ),
        (
            &[(KUBE_VIP_IMAGE, IMAGE)][..],
            format!("{image}: the cluster has no kube-vip that would be made of this image"),
        ),
        (
            &[(CONTROL_PLANE_VIP, "kube-vip"), (KUBE_VIP_IMAGE, "kube-vip")][..],
            format!("{image}: \"kube-vip\" is not an image with a tag or digest"),
        ),
    ] {
        assert_eq!(wrong(&annotated(annotations), Some(kube_vip())), [expected]);
    }
    let mut both = annotated(&[(CONTROL_PLANE_VIP, "kube-vip")]);
    let control = &mut both.cluster.spec.control_plane_configuration;
    control.skip_load_balancer_deployment = Some(true);
    let found = wrong(&both, Some(kube_vip()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("skipLoadBalancerDeployment is true"),
        "{found:?}"
    );
}

#[test]
fn the_image_is_that_of_the_release_or_of_the_annotation() {
    let chosen = annotated(&[(CONTROL_PLANE_VIP, "kube-vip")]);
    let named = annotated(&[(CONTROL_PLANE_VIP, "kube-vip"), (KUBE_VIP_IMAGE, IMAGE)]);
    assert_eq!(
        wrong(&chosen, None),
        ["metadata.annotations[gantry.dev/control-plane-vip]: Release v1.35.4 names no image of kube-vip"]
    );
    assert_eq!(wrong(&chosen, Some(kube_vip())), [""; 0]);
    assert_eq!(wrong(&named, None), [""; 0]);
    let mut release = crate::releases::tests::releases(&["v1.35.4"]).remove(0).spec;
    release.components.push(kube_vip());
    let image = |bundle: &ClusterBundle| kube_vip_image(&bundle.cluster, &release);
    assert_eq!(image(&bundle()), None);
    assert_eq!(image(&chosen).unwrap(), kube_vip().image);
    assert_eq!(image(&named).unwrap(), IMAGE);
    // Whoever chooses it hears that it is pulled, and from where.
    let said = |bundle: &ClusterBundle| {
        remarks(bundle, &crate::releases::tests::releases(&["v1.35.4"]))
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    };
    assert_eq!(said(&bundle()), "");
    assert!(said(&named).contains(IMAGE), "{}", said(&named));
    let useless = annotated(&[(CONTROL_PLANE_VIP, "kube-vip"), (VRRP_ID, "7")]);
    assert!(
        said(&useless).contains("gantry.dev/vrrp-id]: has no effect"),
        "{}",
        said(&useless)
    );
}

#[test]
fn the_holder_stays_and_its_image_is_rolled_out() {
    let plain = bundle();
    let chosen = annotated(&[(CONTROL_PLANE_VIP, "kube-vip")]);
    let named = annotated(&[(CONTROL_PLANE_VIP, "kube-vip"), (KUBE_VIP_IMAGE, IMAGE)]);
    let said = annotated(&[(CONTROL_PLANE_VIP, "keepalived")]);
    assert_eq!(check_update(&plain, &said, &[]), [], "it says what holds anyway");

    for (old, new, holder) in [
        (&plain, &named, AddressHolder::Keepalived),
        (&named, &plain, AddressHolder::KubeVip { image: Some(IMAGE) }),
    ] {
        let compared = update(old, new, &[]);
        let paths: Vec<&str> = compared.refused.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["metadata.annotations[gantry.dev/control-plane-vip]"]);
        assert_eq!(address_holder(&compared.effective.cluster), holder);
        assert_eq!(
            validate(&compared.effective, &[]),
            validate(old, &[]),
            "nothing is left over"
        );
    }

    let compared = update(&chosen, &named, &[]);
    assert_eq!(compared.refused, []);
    let effects: Vec<ChangeEffect> = compared.changed.iter().map(|change| change.effect).collect();
    assert_eq!(effects, [ChangeEffect::NewMachines]);
    assert_eq!(
        address_holder(&compared.effective.cluster),
        AddressHolder::KubeVip { image: Some(IMAGE) }
    );
    let held = update_in_place(&chosen, &named, &[]);
    assert_eq!(
        address_holder(&held.effective.cluster),
        AddressHolder::KubeVip { image: None }
    );
}

#[test]
fn a_load_balancer_of_the_user_s_stays() {
    let old = bundle();
    let mut new = old.clone();
    let control = &mut new.cluster.spec.control_plane_configuration;
    control.skip_load_balancer_deployment = Some(true);
    let compared = update(&old, &new, &[]);
    let paths: Vec<&str> = compared.refused.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        paths,
        ["spec.controlPlaneConfiguration.skipLoadBalancerDeployment"]
    );
    assert_eq!(
        address_holder(&compared.effective.cluster),
        AddressHolder::Keepalived
    );
    assert_eq!(address_holder(&new.cluster), AddressHolder::LoadBalancer);
}
