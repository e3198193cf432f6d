//! What machines get whose node images users bring, built for EKS Anywhere.

use std::fs;
use std::process::{Command, Stdio};

use node_config::install::{InstallInputs, template};
use node_config::{HostNetwork, Profile, System, flannel, init, network_file, user_data};
use resources::gantry::HandoverPolicy;
use resources::{Compression, Digest, ImageManifest};
use serde_json::Value;

use crate::bootstrap::content;
use crate::demo::{cluster, keys, network, node, secrets, users};

/// An image that nobody but the appliance has measured.
fn image(root_partition: Option<u32>) -> ImageManifest {
    ImageManifest {
        name: "users-own".to_owned(),
        compression: Compression::Gzip,
        raw_size: 8 << 30,
        raw_digest: Digest::new([2; 32]),
        size: 1 << 30,
        digest: Digest::new([1; 32]),
        root_partition,
        esp_partition: None,
        os_family: None,
        kubernetes_version: None,
        cni: None,
        guid_references: None,
        chunks: Vec::new(),
    }
}

fn workflow(os_family: &str, image: &ImageManifest, network: &HostNetwork) -> String {
    let users = users();
    let inputs = InstallInputs {
        workflow: "demo-cp-0-1",
        machine: "node-1",
        instance_id: "demo-cp-0-1",
        network,
        image,
        image_url: "http://192.0.2.5:7080/images/0101",
        os_family,
        metadata_url: "http://192.0.2.5:7080",
        users: &users,
        mounts: &[],
        handover: HandoverPolicy::Auto,
        patience: 1,
    };
    template(&inputs).unwrap()
}

/// Paths and contents of the files that a workflow writes.
fn written(workflow: &str) -> Vec<(String, String)> {
    let plain = workflow.replace("{{", "").replace("}}", "");
    let value: Value = serde_saphyr::from_str(&plain).unwrap();
    let actions = value["tasks"][0]["actions"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = actions
        .iter()
        .filter(|action| action["image"] == "gantry/writefile");
    files
        .map(|action| &action["environment"])
        .map(|environment| (text(&environment["DEST_PATH"]), text(&environment["CONTENTS"])))
        .collect()
}

#[test]
fn workflows_of_users_images() {
    for (family, partition) in [("ubuntu", "2"), ("redhat", "1")] {
        let text = workflow(family, &image(None), &network(None));
        let root = format!("{{{{ formatPartition ( index .Hardware.Disks 0 ) {partition} }}}}");
        // Four files for Ubuntu and for Red Hat, the seed and the handover.
        assert_eq!(text.matches(&root).count(), 6, "{text}");
        assert_eq!(text.matches("FS_TYPE: \"auto\"").count(), 6, "{text}");
        assert!(!text.contains("GUID"), "the image keeps its GUIDs: {text}");
        let is_script = |line: &&str| line.trim_start().starts_with("FIRST_BOOT_SCRIPT: ");
        assert_eq!(text.lines().filter(is_script).count(), 1);
        let shown: Vec<&str> = text.lines().filter(|line| !is_script(line)).collect();
        insta::assert_snapshot!(format!("workflow-{family}"), shown.join("\n"));
        // The partition table knows better than the family.
        let told = workflow(family, &image(Some(7)), &network(None));
        assert_eq!(
            told.matches("( index .Hardware.Disks 0 ) 7 }}").count(),
            6,
            "{told}"
        );
    }
}

#[test]
fn cloud_init_finds_the_seed_first_and_the_metadata_service_without_it() {
    let files = written(&workflow("ubuntu", &image(None), &network(None)));
    let of = |path: &str| files.iter().find(|(known, _)| known == path).unwrap().1.clone();
    let sources: Value =
        serde_saphyr::from_str(&of("/etc/cloud/cloud.cfg.d/99-gantry-datasource.cfg")).unwrap();
    assert_eq!(
        sources["datasource_list"],
        serde_json::json!(["NoCloud", "Ec2", "None"])
    );
    let ec2 = &sources["datasource"]["Ec2"];
    assert_eq!(ec2["metadata_urls"][0], "http://192.0.2.5:7080");
    assert_eq!(ec2["strict_id"], false);
    assert_eq!(of("/etc/cloud/ds-identify.cfg"), "policy: enabled\n");
}

#[test]
fn connections_of_network_manager() {
    let path = "/etc/NetworkManager/system-connections";
    for (name, vlan) in [("key-file", None), ("key-file-vlan", Some(17))] {
        let files = written(&workflow("redhat", &image(None), &network(vlan)));
        let files = files.into_iter().filter(|(file, _)| file.starts_with(path));
        let text: Vec<String> = files.map(|(file, text)| format!("# {file}\n{text}")).collect();
        assert_eq!(text.len(), if vlan.is_some() { 2 } else { 1 });
        insta::assert_snapshot!(name, text.join("\n"));
    }
    let mut far = network(None);
    far.gateway = Some("198.51.100.1".parse().unwrap());
    let text = network_file(&format!("{path}/x.nmconnection"), &far);
    assert!(
        text.contains("gateway=198.51.100.1\nroute1=198.51.100.1/32\n"),
        "{text}"
    );
    assert!(network_file("/etc/netplan/x.yaml", &far).starts_with("network:\n"));
}

/// The public image of flannel has no program of Gantry's, so the text that does the same goes with the Pod.
#[test]
fn flannel_of_the_public_image() {
    let command = |system| {
        let mut cluster = cluster(Profile::Standard);
        cluster.system = system;
        let set = flannel(&cluster).pop().unwrap();
        let containers = &set["spec"]["template"]["spec"]["containers"];
        containers[1]["command"].clone()
    };
    assert_eq!(
        command(System::Debian),
        serde_json::json!(["/opt/bin/write-cni-conf"])
    );
    for system in [System::Ubuntu, System::RedHat] {
        let command = command(system);
        assert_eq!(command[0], "/bin/sh");
        let folder = tempfile::tempdir().unwrap();
        let subnet = folder.path().join("subnet.env");
        fs::write(&subnet, "FLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1500\n").unwrap();
        // As busybox' ipcalc answers.
        let ipcalc = folder.path().join("ipcalc");
        fs::write(
            &ipcalc,
            "#!/bin/sh\n[ \"$*\" = '-n 10.244.3.1/24' ] && echo NETWORK=10.244.3.0\n",
        )
        .unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&ipcalc, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut writer = Command::new("/bin/sh")
            .arg(command[1].as_str().unwrap())
            .arg(command[2].as_str().unwrap())
            .env("PATH", path)
            .env("FLANNEL_ENV", &subnet)
            .env("CNI_CONF_DIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says that the file is there.
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(writer.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert!(line.contains("10.244.3.0/24"), "{line}");
        let text = fs::read_to_string(folder.path().join("10-flannel.conflist")).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        let range = &list["plugins"][0]["ipam"]["ranges"][0][0]["subnet"];
        assert_eq!(range, "10.244.3.0/24");
    }
}

#[test]
fn pods_get_the_real_name_servers_of_their_system() {
    for (system, path) in [
        (System::Ubuntu, "resolvConf: /run/systemd/resolve/resolv.conf"),
        (System::RedHat, "resolvConf: /etc/resolv.conf"),
    ] {
        let mut cluster = cluster(Profile::Standard);
        cluster.system = system;
        let document = init(&cluster, &node(), &keys(), &secrets().token).unwrap();
        let mut files = document.files.iter();
        let kubeadm = files.find(|file| file.path.ends_with("/kubeadm.yaml")).unwrap();
        let text = content(kubeadm);
        assert!(text.contains(path), "{text}");
    }
}

/// cloud-init's own schema has nothing against what it is given.
#[test]
#[ignore = "needs cloud-init: apt-get install cloud-init"]
fn cloud_init_takes_the_user_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user-data");
    fs::write(&path, user_data("node-1", &users()).unwrap()).unwrap();
    let output = Command::new("cloud-init")
        .args(["schema", "--config-file"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// netplan makes of the text what networkd and NetworkManager read.
#[test]
#[ignore = "needs netplan: apt-get install netplan.io"]
fn netplan_takes_the_network() {
    for vlan in [None, Some(17)] {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/netplan");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("config.yaml"),
            network_file("/etc/netplan/config.yaml", &network(vlan)),
        )
        .unwrap();
        let output = Command::new("netplan")
            .args(["generate", "--root-dir"])
            .arg(root.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let made = fs::read_dir(root.path().join("run/systemd/network")).unwrap();
        let texts: String = made
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        assert!(texts.contains("Address=192.0.2.11/24"), "{texts}");
        assert!(texts.contains("52:54:00:00:00:01"), "{texts}");
    }
}
