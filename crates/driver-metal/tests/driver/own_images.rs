//! Machines with node images of the user's own, in the layouts that EKS Anywhere's have and without a manifest: the Template that
//! installs one, by Gantry's workflow for the family or by the user's own. The images are layouts without a system in them.

use std::io::Cursor;

use cluster_spec::parse;
use disk_image::{ImageReader, measure};
use resources::anywhere::TinkerbellTemplateConfig;
use resources::gantry::Release;
use resources::tinkerbell::Template;

use super::*;

const URL: &str = "https://images.example.com/ubuntu-2204-kube-1-35.gz";

/// A disk whose master boot record has one Linux partition behind so many small ones of another type.
fn layout(before: u8) -> Vec<u8> {
    let mut disk = vec![0; 4 << 20];
    let sizes = (0..=before).map(|at| {
        if at == before {
            (0x83, 4096_u32)
        } else {
            (0x0c, 64)
        }
    });
    let mut next = 2048_u32;
    for (at, (kind, sectors)) in sizes.enumerate() {
        let entry = &mut disk[446 + at * 16..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&next.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors.to_le_bytes());
        next += sectors;
    }
    disk[0] = 0xeb;
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

/// A site with a free server and this image, as the appliance has measured it; the machine `prod-1` wants it.
async fn site_with(os_family: &str, before: u8, template: Option<&str>) -> Site {
    let site = Site::start(NAMESPACE).await;
    site.make::<Image>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Image", "metadata": {"name": "image"}, "spec": {"url": URL}
    }))
    .await;
    let reader = ImageReader::open(Cursor::new(layout(before))).unwrap();
    let manifest = measure(reader, "users-own", &mut |_| {}).unwrap();
    site.merge_status::<Image>(
        "image",
        json!({"status": {"state": "ready", "manifest": manifest}}),
    )
    .await;
    server(&site, "a", "worker").await;
    let interface = json!({"dhcp": {"mac": "52:54:00:00:00:01", "hostname": "node-a", "name_servers": ["192.0.2.2"],
        "ip": {"address": "192.0.2.11", "netmask": "255.255.255.0", "gateway": "192.0.2.1"}}});
    let hardware = json!({"spec": {"disks": [{"device": "/dev/sda"}], "interfaces": [interface],
        "metadata": {"instance": {"hostname": "node-a"}}}});
    site.merge::<Hardware>("a", hardware).await;
    machine(&site, "prod-1").await;
    let reference = template.map(|name| json!({"kind": "TinkerbellTemplateConfig", "name": name}));
    let users = json!([{"name": "ec2-user", "sshAuthorizedKeys": ["ssh-ed25519 AAAA fake@example"]}]);
    site.merge::<ProviderMachine>(
        "prod-1",
        json!({"spec": {"osFamily": os_family, "imageURL": URL, "users": users, "metal": {"templateRef": reference}}}),
    )
    .await;
    site
}

/// The actions of the Template that is made for the machine: kind, and where it writes.
async fn actions(site: &Site) -> Vec<(String, Option<String>)> {
    let (driver, cancel) = drive(site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    site.merge_status::<Server>("a", json!({"status": {"state": "claimed"}}))
        .await;
    site.when("prod-1-1", |_: &Workflow| true).await;
    let template = site.api::<Template>().get("prod-1-1").await.unwrap();
    cancel.cancel();
    driver.await.unwrap();
    let hardware = site.api::<Hardware>().get("a").await.unwrap();
    let map = [("device_1".to_owned(), "52:54:00:00:00:01".to_owned())].into();
    let data = template::data(&map, Some(&hardware)).unwrap();
    let text = template::render("t", &template.spec.data.unwrap(), &data).unwrap();
    let document = template::parse("t", &text).unwrap();
    let actions = document.tasks[0].actions.iter();
    actions
        .map(|action| {
            let kind = agent_protocol::ActionKind::of_image(&action.image).unwrap();
            let disk = ["DEST_DISK", "BLOCK_DEVICE"]
                .iter()
                .find_map(|name| action.environment.get(*name));
            (kind.name().to_owned(), disk.cloned())
        })
        .collect()
}

fn expected(list: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    list.iter()
        .map(|(kind, disk)| ((*kind).to_owned(), Some((*disk).to_owned())))
        .collect()
}

#[tokio::test]
async fn a_machine_is_installed_as_the_layout_of_its_image_says() {
    for (family, before, root) in [
        ("ubuntu", 1, "/dev/sda2"),
        ("redhat", 0, "/dev/sda1"),
        ("redhat", 2, "/dev/sda3"),
    ] {
        let site = site_with(family, before, None).await;
        let mut list = vec![("image2disk", "/dev/sda")];
        list.extend([("writefile", root); 4]);
        list.extend([("seed", root), ("handover", root)]);
        assert_eq!(actions(&site).await, expected(&list), "{family}, {before}");
    }
}

#[tokio::test]
async fn the_default_workflow_of_eks_anywhere_written_out_is_carried_out() {
    let file = include_str!("../../../cluster-spec/tests/eksa/ubuntu-template.yaml");
    let release: Release = serde_json::from_value(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Release", "metadata": {"name": "v1.35.4"},
        "spec": {"kubernetesVersion": "1.35", "patchVersion": "v1.35.4",
            "components": [{"name": "kube-vip", "image": "ghcr.io/kube-vip/kube-vip:v1.2.0"}],
            "nodeImages": [{"osFamily": "debian", "cni": "flannel", "image": "debian"}]}
    }))
    .unwrap();
    let mut bundle = parse(file, "cluster.yaml", &[release]).unwrap();
    let own = bundle.templates.remove("shop").unwrap();
    let site = site_with("ubuntu", 1, Some("shop")).await;
    site.make::<TinkerbellTemplateConfig>(serde_json::to_value(&own).unwrap())
        .await;
    let mut list = vec![("image2disk", "/dev/sda")];
    // The four of the template, and the users.
    list.extend([("writefile", "/dev/sda2"); 5]);
    list.extend([("seed", "/dev/sda2"), ("reboot", "/dev/sda")]);
    assert_eq!(actions(&site).await, expected(&list));
}
