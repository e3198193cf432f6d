//! `gantry generate clusterconfig NAME`: the file of a cluster to begin with, as EKS Anywhere's verb of that name prints it.

use clap::{Args, ValueEnum};
use image_builder::ReleaseRecipe;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parts::planned_releases;

#[derive(Debug, Args)]
pub(crate) struct GenerateClusterconfigArgs {
    /// Name of the cluster.
    name: String,
    /// Where its machines are.
    #[arg(short, long, value_enum, default_value_t = Provider::Tinkerbell)]
    provider: Provider,
    /// Minor version of Kubernetes.
    #[arg(long, value_name = "MINOR", default_value = ReleaseRecipe::NEWEST.minor)]
    kubernetes: String,
    /// System of the node image: Gantry's own is debian; ubuntu and redhat are for one of yours (docs/own-images.md).
    #[arg(long, value_enum, default_value_t = Family::Debian)]
    os_family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// Bare metal.
    Tinkerbell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Family {
    Debian,
    Ubuntu,
    Redhat,
}

impl Family {
    const fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
            Self::Redhat => "redhat",
        }
    }
}

/// What only the user knows.
#[derive(Debug, Clone, Copy)]
struct Site<'a> {
    endpoint: &'a str,
    tinkerbell_ip: &'a str,
    image: &'a str,
}

const BLANK: Site<'static> = Site {
    endpoint: "",
    tinkerbell_ip: "",
    image: "",
};

pub(crate) fn run(args: &GenerateClusterconfigArgs) -> Outcome {
    match args.provider {
        Provider::Tinkerbell => check(args)?,
    }
    output::text(&render(args, BLANK));
    Ok(())
}

/// Whether the file is right once its blanks are filled: name and version are the user's as well.
fn check(args: &GenerateClusterconfigArgs) -> Outcome {
    let image = format!("https://images.example.com/image-{}.gz", args.kubernetes);
    let filled = Site {
        endpoint: "192.0.2.10",
        tinkerbell_ip: "192.0.2.5",
        image: &image,
    };
    let parsed = cluster_spec::parse(&render(args, filled), "the new file", &planned_releases()?);
    match parsed {
        Ok(_) => Ok(()),
        Err(problems) => Err(Failure::BadInput(problems.to_string())),
    }
}

fn render(args: &GenerateClusterconfigArgs, site: Site<'_>) -> String {
    let GenerateClusterconfigArgs {
        name,
        kubernetes,
        os_family,
        ..
    } = args;
    let family = os_family.name();
    let machines = |name: &str, label: &str| {
        format!(
            "---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellMachineConfig
metadata:
  name: {name}
spec:
  # A label of rows in hardware.csv.
  hardwareSelector:
    type: {label}
  osFamily: {family}
  templateRef: {{}}
  users:
  - name: ec2-user
    # Public keys, each one line of a .pub file.
    sshAuthorizedKeys: []
"
        )
    };
    let Site {
        endpoint,
        tinkerbell_ip,
        image,
    } = site;
    let cluster = format!(
        "apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
metadata:
  name: {name}
spec:
  clusterNetwork:
    cniConfig:
      flannel: {{}}
    # Two ranges that have nothing to do with the machines' networks.
    pods:
      cidrBlocks:
      - 10.244.0.0/16
    services:
      cidrBlocks:
      - 10.96.0.0/12
  controlPlaneConfiguration:
    count: 1
    endpoint:
      # A free address of the machines' network: the API of the cluster.
      host: \"{endpoint}\"
    machineGroupRef:
      kind: TinkerbellMachineConfig
      name: {name}-cp
  datacenterRef:
    kind: TinkerbellDatacenterConfig
    name: {name}
  kubernetesVersion: \"{kubernetes}\"
  managementCluster:
    name: {name}
  workerNodeGroupConfigurations:
  - name: md-0
    count: 1
    machineGroupRef:
      kind: TinkerbellMachineConfig
      name: {name}
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellDatacenterConfig
metadata:
  name: {name}
spec:
  # The address at which the appliance answers machines: --address of gantry serve.
  tinkerbellIP: \"{tinkerbell_ip}\"
  # http://, https:// or file:///path on the appliance, with the version of Kubernetes in it.
  osImageURL: \"{image}\"
"
    );
    cluster + &machines(&format!("{name}-cp"), "cp") + &machines(name, "worker")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str, kubernetes: &str, os_family: Family) -> GenerateClusterconfigArgs {
        GenerateClusterconfigArgs {
            name: name.to_owned(),
            provider: Provider::Tinkerbell,
            kubernetes: kubernetes.to_owned(),
            os_family,
        }
    }

    #[test]
    fn the_file_loads_once_its_blanks_are_filled() {
        for recipe in ReleaseRecipe::ALL {
            for family in [Family::Debian, Family::Ubuntu, Family::Redhat] {
                check(&args("prod", recipe.minor, family)).unwrap();
            }
        }
    }

    #[test]
    fn each_blank_is_named() {
        let text = render(&args("prod", "1.35", Family::Debian), BLANK);
        let releases = planned_releases().unwrap();
        let problems = cluster_spec::parse(&text, "prod.yaml", &releases).unwrap_err();
        let mut places: Vec<&str> = problems
            .problems
            .iter()
            .map(|problem| problem.place.as_str())
            .collect();
        places.dedup();
        assert_eq!(
            places,
            [
                "Cluster prod: spec.controlPlaneConfiguration.endpoint.host",
                "TinkerbellDatacenterConfig prod: spec.tinkerbellIP",
                "TinkerbellMachineConfig prod-cp: spec.osImageURL",
                "TinkerbellMachineConfig prod: spec.osImageURL",
            ]
        );
    }

    #[test]
    fn a_wrong_name_or_version_is_refused() {
        for (name, kubernetes, said) in [
            ("Prod", "1.35", "is not a cluster name"),
            ("prod", "1.12", "no Release has Kubernetes 1.12"),
        ] {
            let refused = check(&args(name, kubernetes, Family::Debian)).unwrap_err();
            assert!(refused.to_string().contains(said), "{refused}");
        }
    }
}
