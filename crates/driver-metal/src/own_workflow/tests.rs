use cluster_spec::parse;
use resources::Compression;
use resources::Digest;
use resources::gantry::{Release, ReleaseNodeImage, ReleaseSpec};

use super::*;

const UBUNTU: &str = include_str!("../../../cluster-spec/tests/eksa/ubuntu-template.yaml");
const REDHAT: &str = include_str!("../../../cluster-spec/tests/eksa/redhat-template.yaml");

/// The TinkerbellTemplateConfig of a cluster's file.
fn own(text: &str) -> TinkerbellTemplateConfig {
    let components = ["kube-vip"].map(|name| resources::gantry::ComponentImage {
        name: name.to_owned(),
        image: format!("ghcr.io/{name}/{name}:v1.2.0"),
        digest: None,
    });
    let spec = ReleaseSpec {
        kubernetes_version: "1.35".to_owned(),
        patch_version: "v1.35.4".to_owned(),
        charts: Vec::new(),
        components: components.into(),
        node_images: vec![ReleaseNodeImage {
            os_family: "debian".to_owned(),
            cni: "flannel".to_owned(),
            image: "debian-13-kubernetes-1.35".to_owned(),
        }],
    };
    let mut bundle = parse(text, "cluster.yaml", &[Release::new("v1.35.4", spec)]).unwrap();
    bundle.templates.pop_first().unwrap().1
}

fn hardware() -> Hardware {
    let spec = json!({
        "disks": [{ "device": "/dev/nvme0n1" }],
        "metadata": { "instance": { "hostname": "node-1" } },
        "interfaces": [{ "dhcp": {
            "mac": "52:54:00:00:00:01", "hostname": "node-1", "name_servers": ["192.0.2.1", "192.0.2.2"],
            "ip": { "address": "192.0.2.11", "netmask": "255.255.255.0", "gateway": "192.0.2.1" },
        } }],
    });
    Hardware::new("node-1", serde_json::from_value(spec).unwrap())
}

fn image() -> ImageManifest {
    ImageManifest {
        name: "users-own".to_owned(),
        compression: Compression::Gzip,
        raw_size: 8 << 30,
        raw_digest: Digest::new([2; 32]),
        size: 1 << 30,
        digest: Digest::new([1; 32]),
        root_partition: Some(2),
        esp_partition: Some(1),
        os_family: None,
        kubernetes_version: None,
        cni: None,
        guid_references: None,
        chunks: Vec::new(),
    }
}

/// What becomes of a template on this hardware: the text of the Template, and what the workflow engine reads in it.
fn made(own: &TinkerbellTemplateConfig) -> (String, template::Document) {
    let (hardware, image) = (hardware(), image());
    let network = HostNetwork::of(&hardware).unwrap();
    let users = [User {
        name: "ec2-user".to_owned(),
        ssh_authorized_keys: vec!["ssh-ed25519 AAAA fake@example".to_owned()],
    }];
    let additions = Additions {
        hostname: "node-1",
        instance_id: "i-1",
        network: &network,
        users: &users,
        named_url: "https://images.example.com/ubuntu-2204-kube-1-35.gz",
        image_url: "http://192.0.2.5:7080/images/01",
        image: &image,
        patience: 1,
    };
    let mac = network.mac;
    let workflow = rendered(own, &hardware, mac).unwrap();
    let text = completed(workflow, &additions).unwrap();
    let data = template::data(&hardware_map(&hardware, mac), Some(&hardware)).unwrap();
    let rendered = template::render("t", &text, &data).unwrap();
    assert_eq!(rendered, text, "nothing of it is Go any more");
    (text, template::parse("t", &rendered).unwrap())
}

fn named<'a>(document: &'a template::Document, name: &str) -> &'a template::Action {
    let mut actions = document.tasks[0].actions.iter();
    actions.find(|action| action.name == name).unwrap()
}

#[test]
fn the_default_of_eks_anywhere_makes_a_node() {
    let own = own(UBUNTU);
    assert_eq!(check_workflow(&own, &hardware()), Ok(()));
    let (_, document) = made(&own);
    let task = &document.tasks[0];
    assert_eq!(task.worker, "52:54:00:00:00:01");
    let actions: Vec<&str> = task.actions.iter().map(|action| action.name.as_str()).collect();
    assert_eq!(
        actions,
        [
            "stream-image",
            "write-netplan",
            "disable-cloud-init-network-capabilities",
            "add-tink-cloud-init-config",
            "add-tink-cloud-init-ds-config",
            "gantry-write-users",
            "gantry-leave-first-boot-seed",
            "reboot"
        ]
    );
    let stream = &task.actions[0].environment;
    assert_eq!(stream["IMG_URL"], "http://192.0.2.5:7080/images/01");
    assert_eq!(stream["IMG_RAW_SIZE"], (8_u64 << 30).to_string());
    assert_eq!(stream["DEST_DISK"], "/dev/nvme0n1");
    let netplan = &named(&document, "write-netplan").environment["CONTENTS"];
    for line in [
        "      addresses:\n      - 192.0.2.11/24\n",
        "        - 192.0.2.2\n      routes:\n",
        "        via: 192.0.2.1\n",
    ] {
        assert!(netplan.contains(line), "{netplan}");
    }
    let source = &named(&document, "add-tink-cloud-init-config").environment["CONTENTS"];
    assert!(
        source.contains("metadata_urls: [http://192.0.2.6:7172, http://192.0.2.5:7172]"),
        "{source}"
    );
    for name in ["gantry-write-users", "gantry-leave-first-boot-seed"] {
        let environment = &named(&document, name).environment;
        assert_eq!(environment["DEST_DISK"], "/dev/nvme0n1p2", "{name}");
        assert_eq!(environment["FS_TYPE"], "ext4", "{name}");
    }
    let users = &named(&document, "gantry-write-users").environment;
    assert!(users["CONTENTS"].starts_with("#cloud-config\n"), "{users:?}");
    assert!(users["CONTENTS"].contains("ssh-ed25519 AAAA"), "{users:?}");
    let seed = &named(&document, "gantry-leave-first-boot-seed").environment;
    assert_eq!(seed["FIRST_BOOT_SCRIPT"], FIRST_BOOT_SCRIPT);
    // Without it a machine with UEFI keeps the entry of the system before.
    assert_eq!(
        named(&document, "reboot").environment["DEST_DISK"],
        "/dev/nvme0n1"
    );
}

#[test]
fn a_static_network_comes_from_the_hardware() {
    let (_, document) = made(&own(REDHAT));
    let written = named(&document, "write-netplan");
    assert_eq!(written.environment["DEST_DISK"], "/dev/nvme0n1p1");
    let text = &written.environment["CONTENTS"];
    assert!(
        text.contains("mac-address=52:54:00:00:00:01\n") && text.contains("address1=192.0.2.11/24\n"),
        "{text}"
    );
    // Its image is another one than the cluster's documents name, so it stays as it is.
    let url = &document.tasks[0].actions[0].environment["IMG_URL"];
    assert_eq!(url, "https://images.example.com/rhel-9-kube-1-35.raw.xz");
}

/// What Go sees is the text between YAML's quotes, and what it makes of it is what an action gets.
#[test]
fn quotes_and_braces_arrive_as_they_are_written() {
    let mut own = own(UBUNTU);
    let contents = "host {{ printf \"%s\" .Hardware.Metadata.Instance.Hostname }} # 'x' \"y\"\n\t{\"a\": {}} \\ {{ \"{{ b }}\" }}";
    own.spec.template["tasks"][0]["actions"][4]["environment"]["CONTENTS"] = contents.into();
    let (text, document) = made(&own);
    assert!(!text.contains("{{"), "{text}");
    let environment = &named(&document, "add-tink-cloud-init-ds-config").environment;
    assert_eq!(
        environment["CONTENTS"],
        "host node-1 # 'x' \"y\"\n\t{\"a\": {}} \\ {{ b }}"
    );
}

#[test]
fn the_seed_goes_where_the_template_says() {
    let mut own = own(UBUNTU);
    let actions = own.spec.template["tasks"][0]["actions"].as_array_mut().unwrap();
    let seed = json!({
        "name": "mine", "image": "gantry/seed", "timeout": 90,
        "environment": { "DEST_DISK": "/dev/nvme0n1p7", "FS_TYPE": "xfs" },
    });
    actions.insert(1, seed);
    assert_eq!(check_workflow(&own, &hardware()), Ok(()));
    let (_, document) = made(&own);
    let names: Vec<&str> = document.tasks[0].actions[..4]
        .iter()
        .map(|action| action.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "stream-image",
            "gantry-write-users",
            "gantry-leave-first-boot-seed",
            "write-netplan"
        ]
    );
    let seed = &named(&document, "gantry-leave-first-boot-seed").environment;
    assert_eq!(
        (seed["DEST_DISK"].as_str(), seed["FS_TYPE"].as_str()),
        ("/dev/nvme0n1p7", "xfs")
    );
}

#[test]
fn what_makes_no_node_is_refused_with_its_reason() {
    let refused = |change: fn(&mut Vec<Value>)| {
        let mut own = own(UBUNTU);
        change(own.spec.template["tasks"][0]["actions"].as_array_mut().unwrap());
        check_workflow(&own, &hardware()).unwrap_err()
    };
    for (why, said) in [
        (
            refused(|actions| actions.truncate(1)),
            "no action writes a file below /etc",
        ),
        (
            refused(|actions| actions[1]["environment"]["HEGEL_URLS"] = "http://192.0.2.5:7172".into()),
            "tasks[0].actions[1].environment.HEGEL_URLS is for Bottlerocket",
        ),
        (
            refused(|actions| actions[1]["image"] = "quay.io/tinkerbell/actions/cexec:latest".into()),
            "tasks[0].actions[1].image: there is no native action for",
        ),
        (
            refused(|actions| actions.swap(4, 5)),
            "so it must be the last action",
        ),
        (
            refused(|actions| actions[1]["environment"]["CONTENTS"] = "{{ .nothing }}".into()),
            "tasks[0].actions[1].environment.CONTENTS",
        ),
    ] {
        assert!(why.contains(said), "{said}: {why}");
    }
    // Without a file in it, the boot loader's partition will do.
    let mut kexec = own(UBUNTU);
    let actions = kexec.spec.template["tasks"][0]["actions"].as_array_mut().unwrap();
    actions.truncate(1);
    actions.push(json!({
        "name": "kexec", "image": "kexec", "environment": { "BLOCK_DEVICE": "/dev/nvme0n1p2", "FS_TYPE": "ext4" },
    }));
    assert_eq!(check_workflow(&kexec, &hardware()), Ok(()));
}
