//! `gantry generate tinkerbelltemplateconfig -f FILE`: the default workflow of EKS Anywhere for a cluster's machines, to be edited.

use std::path::PathBuf;

use clap::Args;
use cluster_spec::ClusterBundle;
use kube::ResourceExt as _;
use node_config::System;
use resources::anywhere::OsFamily;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parts::planned_releases;

#[derive(Debug, Args)]
pub(crate) struct GenerateTemplateArgs {
    /// The cluster's file.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: PathBuf,
}

pub(crate) fn run(args: &GenerateTemplateArgs) -> Outcome {
    let file = args.filename.display().to_string();
    let text = std::fs::read_to_string(&args.filename).map_err(|error| {
        Failure::BadInput(format!("{file}: {error}; write the path of the cluster's file"))
    })?;
    let bundle = cluster_spec::parse(&text, &file, &planned_releases()?)
        .map_err(|problems| Failure::BadInput(problems.to_string()))?;
    if bundle.virtual_site.is_some() {
        return Err(Failure::BadInput(format!(
            "{file}: the machines of driver {} are not installed by a workflow; write the file of a cluster on bare metal",
            bundle.provider()
        )));
    }
    output::text(&render(&bundle));
    Ok(())
}

/// One for each image, because a workflow names its own.
fn render(bundle: &ClusterBundle) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut text = String::new();
    for group in bundle.groups() {
        let Some(config) = group.metal() else { continue };
        let image = bundle.image_url(config).unwrap_or_default();
        if seen.contains(&image) {
            continue;
        }
        let name = if seen.is_empty() {
            bundle.name()
        } else {
            text += "---\n";
            config.name_any()
        };
        seen.push(image);
        text += &template(&name, image, config.spec.os_family);
    }
    text
}

fn template(name: &str, image: &str, family: Option<OsFamily>) -> String {
    let (system, network) = match family {
        Some(OsFamily::Redhat) => (
            System::RedHat,
            "/etc/NetworkManager/system-connections/id0.nmconnection",
        ),
        Some(OsFamily::Ubuntu) => (System::Ubuntu, "/etc/netplan/config.yaml"),
        _ => (System::Debian, "/etc/netplan/config.yaml"),
    };
    let number = system.root_partition();
    let file = |action: &str, path: &str, contents: &str| {
        format!(
            "      - name: {action}
        image: writefile
        timeout: 90
        environment:
          DEST_DISK: '{{{{ formatPartition (index .Hardware.Disks 0) {number} }}}}'
          FS_TYPE: auto
          DEST_PATH: {path}
          {contents}
          UID: \"0\"
          GID: \"0\"
          MODE: \"0600\"
          DIRMODE: \"0755\"
"
        )
    };
    let files = [
        file("write-netplan", network, "STATIC_NETPLAN: \"true\""),
        file(
            "disable-cloud-init-network-capabilities",
            "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg",
            "CONTENTS: 'network: {config: disabled}'",
        ),
    ];
    format!(
        "apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellTemplateConfig
metadata:
  name: {name}
spec:
  template:
    version: \"0.1\"
    name: {name}
    global_timeout: 6000
    tasks:
    - name: {name}
      worker: '{{{{.device_1}}}}'
      actions:
      - name: stream-image
        image: image2disk
        timeout: 1200
        environment:
          IMG_URL: {image}
          DEST_DISK: '{{{{ index .Hardware.Disks 0 }}}}'
          COMPRESSED: \"true\"
{files}      # Users and the seed of the first boot are added here.
      - name: reboot
        image: reboot
        timeout: 90
",
        files = files.concat(),
    )
}

#[cfg(test)]
mod tests {
    use driver_metal::check_workflow;
    use resources::tinkerbell::Hardware;
    use serde_json::json;

    use super::*;

    const FILES: [&str; 2] = [
        include_str!("../../../cluster-spec/tests/eksa/ubuntu.yaml"),
        include_str!("../../../cluster-spec/tests/eksa/redhat.yaml"),
    ];

    /// What is printed, put into the file that it was made of.
    #[test]
    fn what_is_printed_can_be_carried_out() {
        let releases = planned_releases().unwrap();
        let spec = json!({
            "disks": [{"device": "/dev/sda"}],
            "interfaces": [{"dhcp": {"mac": "52:54:00:00:00:01",
                "ip": {"address": "192.0.2.11", "netmask": "255.255.255.0"}}}],
        });
        let hardware = Hardware::new("node-a", serde_json::from_value(spec).unwrap());
        for file in FILES {
            let bundle = cluster_spec::parse(file, "cluster.yaml", &releases).unwrap();
            let name = bundle.name();
            let reference = format!("templateRef: {{kind: TinkerbellTemplateConfig, name: {name}}}");
            let whole = file.replace("templateRef: {}", &reference) + "---\n" + &render(&bundle);
            let bundle = cluster_spec::parse(&whole, "cluster.yaml", &releases)
                .unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(check_workflow(&bundle.templates[&name], &hardware), Ok(()));
        }
    }

    #[test]
    fn each_image_has_its_workflow() {
        let releases = planned_releases().unwrap();
        let mut bundle = cluster_spec::parse(FILES[0], "cluster.yaml", &releases).unwrap();
        assert_eq!(
            render(&bundle).matches("kind: TinkerbellTemplateConfig").count(),
            1
        );
        bundle.datacenter.spec.os_image_url = None;
        for (name, config) in &mut bundle.machine_configs {
            config.spec.os_image_url = Some(format!("https://images.example.com/{name}-1-35.gz"));
        }
        let text = render(&bundle);
        let documents: Vec<&str> = text.split("---\n").collect();
        assert_eq!(documents.len(), 2, "{text}");
        // The control plane comes first, and its image is that of `shop-cp`.
        assert!(
            documents[0].contains("IMG_URL: https://images.example.com/shop-cp-1-35.gz"),
            "{text}"
        );
        assert!(
            documents[1].contains("IMG_URL: https://images.example.com/shop-1-35.gz"),
            "{text}"
        );
    }
}
