//! Flags of `eksctl anywhere` that people have in scripts, for `create cluster` and `delete cluster`.
//!
//! Each is taken, and either it has no effect here, which one line says, or it cannot hold, which is an error that
//! names the flag and the way to get the same. Nothing is ignored silently. Flags that Gantry has as well (`-f`, `-z`,
//! `--kubeconfig`, `-v`, ...) are not here.

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Failure, Outcome};

const HEADING: &str = "Flags of EKS Anywhere (taken for scripts; a remark says what they do here)";

/// Flags that both verbs take.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct SharedFlags {
    /// A Bundles manifest.
    #[arg(long, value_name = "FILE")]
    bundles_override: Option<PathBuf>,
    /// Address of the bootstrap cluster's Tinkerbell.
    #[arg(long, value_name = "ADDRESS")]
    tinkerbell_bootstrap_ip: Option<String>,
    /// Remove a left-over bootstrap cluster first.
    #[arg(long)]
    force_cleanup: bool,
}

/// Flags of `create cluster`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct CreateFlags {
    #[command(flatten)]
    shared: SharedFlags,
    /// Create the cluster although somebody on the machines' network answers for the control plane's address.
    #[arg(long)]
    pub(crate) skip_ip_check: bool,
    /// Watch without limit, as it is here anyway.
    #[arg(long, conflicts_with = "timeout")]
    no_timeouts: bool,
    /// Such as 60m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    control_plane_wait_timeout: Option<String>,
    /// Such as 60m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    external_etcd_wait_timeout: Option<String>,
    /// Such as 10m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    per_machine_wait_timeout: Option<String>,
    /// Such as 20m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    node_startup_timeout: Option<String>,
    /// Such as 5m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    unhealthy_machine_timeout: Option<String>,
    /// Checks to leave out; only `vsphere-user-privilege` exists.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    skip_validations: Vec<String>,
    /// Curated packages to install.
    #[arg(long, value_name = "FILE")]
    install_packages: Option<PathBuf>,
    #[command(flatten)]
    rpc: RpcFlags,
}

/// Flags of `delete cluster`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct DeleteFlags {
    #[command(flatten)]
    shared: SharedFlags,
    /// Kubeconfig of the cluster.
    #[arg(short = 'w', long = "w-config", value_name = "FILE")]
    workload_kubeconfig: Option<PathBuf>,
    /// Hardware of the cluster.
    #[arg(short = 'z', long, value_name = "FILE")]
    hardware_csv: Option<PathBuf>,
}

/// The hidden family of Rufio's RPC provider. Its BMCs are spoken to by a program of the user's, over HTTP.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RpcFlags {
    #[arg(long = "tinkerbell-bmc-consumer-url", hide = true)]
    consumer_url: Option<String>,
    #[arg(long = "tinkerbell-bmc-http-content-type", hide = true)]
    http_content_type: Option<String>,
    #[arg(long = "tinkerbell-bmc-http-method", hide = true)]
    http_method: Option<String>,
    #[arg(long = "tinkerbell-bmc-timestamp-header", hide = true)]
    timestamp_header: Option<String>,
    #[arg(long = "tinkerbell-bmc-static-headers", hide = true)]
    static_headers: Option<String>,
    #[arg(long = "tinkerbell-bmc-sig-header-name", hide = true)]
    sig_header_name: Option<String>,
    #[arg(long = "tinkerbell-bmc-append-algo-to-header-disabled", hide = true)]
    append_algo_to_header_disabled: bool,
    #[arg(long = "tinkerbell-bmc-sig-included-payload-headers", hide = true)]
    sig_included_payload_headers: Option<String>,
    #[arg(long = "tinkerbell-bmc-prefix-sig-disabled", hide = true)]
    prefix_sig_disabled: bool,
    #[arg(long = "tinkerbell-bmc-hmac-secrets", hide = true)]
    hmac_secrets: Option<String>,
    #[arg(long = "tinkerbell-bmc-custom-payload", hide = true)]
    custom_payload: Option<String>,
    #[arg(long = "tinkerbell-bmc-custom-payload-dot-location", hide = true)]
    custom_payload_dot_location: Option<String>,
}

/// What becomes of the flags that were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    /// Taken, without effect: why.
    pub(crate) remarks: Vec<String>,
    /// Not possible: why, and the way here.
    pub(crate) refusals: Vec<String>,
}

impl Verdicts {
    fn remark(&mut self, given: bool, flag: &str, why: &str) {
        if given {
            self.remarks.push(format!("{flag} has no effect: {why}"));
        }
    }

    fn refuse(&mut self, given: bool, flag: &str, why: &str) {
        if given {
            self.refusals.push(format!("{flag}: {why}"));
        }
    }

    /// The remarks, unless something cannot hold; then all of that at once.
    pub(crate) fn settle(self) -> Outcome<Vec<String>> {
        if self.refusals.is_empty() {
            return Ok(self.remarks);
        }
        Err(Failure::BadInput(format!(
            "{}\nnothing was changed",
            self.refusals.join("\n")
        )))
    }
}

impl SharedFlags {
    fn judge(&self, verdicts: &mut Verdicts) {
        verdicts.refuse(
            self.bundles_override.is_some(),
            "--bundles-override",
            "component versions and images come from Gantry's Release, not from a Bundles manifest; see `gantry get \
             releases`, and build another one with `gantry image build`",
        );
        verdicts.remark(
            self.tinkerbell_bootstrap_ip.is_some(),
            "--tinkerbell-bootstrap-ip",
            "there is no bootstrap cluster; the appliance answers machines on its own `address` (tinkerbellIP) all \
             the time",
        );
        verdicts.refuse(
            self.force_cleanup,
            "--force-cleanup",
            "there is no bootstrap cluster to clean up; the same `gantry create cluster` again continues, and \
             `gantry delete cluster NAME` gives the servers back",
        );
    }
}

impl CreateFlags {
    pub(crate) fn judge(&self) -> Verdicts {
        const OWN_DEADLINES: &str = "every step has a deadline of its own on the appliance, which `gantry explain` \
                                     shows; --timeout limits how long this command watches";
        const NO_HEALTH_CHECK: &str = "no machine health check replaces nodes in this version; a machine that does \
                                       not come up fails by the deadline of its step";
        let mut verdicts = Verdicts::default();
        let v = &mut verdicts;
        self.shared.judge(v);
        v.remark(
            self.no_timeouts,
            "--no-timeouts",
            "this command watches without limit unless --timeout is given; steps keep their deadlines on the appliance",
        );
        let waits = [
            (&self.control_plane_wait_timeout, "--control-plane-wait-timeout"),
            (&self.per_machine_wait_timeout, "--per-machine-wait-timeout"),
        ];
        for (given, flag) in waits {
            v.remark(given.is_some(), flag, OWN_DEADLINES);
        }
        v.remark(
            self.external_etcd_wait_timeout.is_some(),
            "--external-etcd-wait-timeout",
            "etcd runs on the control-plane machines",
        );
        let checks = [
            (&self.node_startup_timeout, "--node-startup-timeout"),
            (&self.unhealthy_machine_timeout, "--unhealthy-machine-timeout"),
        ];
        for (given, flag) in checks {
            v.remark(given.is_some(), flag, NO_HEALTH_CHECK);
        }
        for name in &self.skip_validations {
            let flag = format!("--skip-validations={name}");
            let known = name == "vsphere-user-privilege";
            v.remark(known, &flag, "that check is about vSphere");
            v.refuse(
                !known,
                &flag,
                "no check of this name can be skipped; only vsphere-user-privilege is taken",
            );
        }
        v.refuse(
            self.install_packages.is_some(),
            "--install-packages",
            "curated packages are not installed by Gantry; apply them with kubectl or helm once the cluster is ready",
        );
        self.rpc.judge(v);
        verdicts
    }
}

impl DeleteFlags {
    pub(crate) fn judge(&self) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let v = &mut verdicts;
        self.shared.judge(v);
        v.remark(
            self.workload_kubeconfig.is_some(),
            "--w-config",
            "the appliance keeps the cluster's credentials itself",
        );
        v.remark(
            self.hardware_csv.is_some(),
            "--hardware-csv",
            "the appliance knows the cluster's machines; `gantry apply hardware --prune` removes hardware",
        );
        verdicts
    }
}

impl RpcFlags {
    fn judge(&self, verdicts: &mut Verdicts) {
        let given = [
            (self.consumer_url.is_some(), "consumer-url"),
            (self.http_content_type.is_some(), "http-content-type"),
            (self.http_method.is_some(), "http-method"),
            (self.timestamp_header.is_some(), "timestamp-header"),
            (self.static_headers.is_some(), "static-headers"),
            (self.sig_header_name.is_some(), "sig-header-name"),
            (
                self.append_algo_to_header_disabled,
                "append-algo-to-header-disabled",
            ),
            (
                self.sig_included_payload_headers.is_some(),
                "sig-included-payload-headers",
            ),
            (self.prefix_sig_disabled, "prefix-sig-disabled"),
            (self.hmac_secrets.is_some(), "hmac-secrets"),
            (self.custom_payload.is_some(), "custom-payload"),
            (
                self.custom_payload_dot_location.is_some(),
                "custom-payload-dot-location",
            ),
        ];
        for (given, name) in given {
            verdicts.refuse(
                given,
                &format!("--tinkerbell-bmc-{name}"),
                "there is no RPC provider for BMCs; give each machine its bmc_ip, bmc_username and bmc_password in \
                 the hardware CSV",
            );
        }
    }
}

/// A duration as Go writes it: numbers with units, such as `1h30m`.
fn duration(text: &str) -> Result<String, String> {
    const UNITS: [&str; 6] = ["ns", "us", "ms", "s", "m", "h"];
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(unit_at);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        if number.parse::<f64>().is_err() || !UNITS.contains(&unit) {
            return Err("it must be a duration such as 60m or 1h30m".to_owned());
        }
        rest = tail;
    }
    match text {
        "" => Err("it must be a duration such as 60m".to_owned()),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, Create, Delete};

    /// What a row of the tables expects.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Expect {
        /// It does here what it does there.
        Honoured,
        /// A remark that names it.
        Remark,
        /// An error that names it.
        Refused,
    }
    use Expect::{Honoured, Refused, Remark};

    fn verdicts(verb: &str, given: &[&str]) -> Verdicts {
        let base = ["gantry", verb, "cluster"];
        let subject: &[&str] = match (verb, given.contains(&"-f") || given.contains(&"--filename")) {
            (_, true) => &[],
            ("create", false) => &["-f", "c.yaml"],
            _ => &["c"],
        };
        let line = base.iter().chain(subject).chain(given);
        let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{verb} {given:?}: {error}"));
        match cli.command {
            Command::Create(Create::Cluster(args)) => args.eksa.judge(),
            Command::Delete(Delete::Cluster(args)) => args.eksa.judge(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(verb: &str, table: &[(&[&str], Expect)]) {
        for (given, expect) in table {
            let found = verdicts(verb, given);
            let name = given[0].split('=').next().unwrap();
            let names_it = |lines: &[String]| lines.len() == 1 && lines[0].starts_with(name);
            match expect {
                Honoured => assert_eq!(found, Verdicts::default(), "{verb} {given:?}"),
                Remark => assert!(
                    names_it(&found.remarks) && found.refusals.is_empty(),
                    "{verb} {given:?}: {found:?}"
                ),
                Refused => {
                    assert!(
                        names_it(&found.refusals) && found.remarks.is_empty(),
                        "{verb} {given:?}: {found:?}"
                    );
                    let failure = found.settle().unwrap_err();
                    assert!(failure.to_string().ends_with("nothing was changed"), "{failure}");
                }
            }
        }
    }

    /// Every flag of EKS Anywhere's `create cluster`, the hidden ones included.
    #[test]
    fn every_flag_of_create_is_taken_or_refused_by_name() {
        check(
            "create",
            &[
                (&["-f", "c.yaml"], Honoured),
                (&["--filename", "c.yaml"], Honoured),
                (&["-z", "h.csv"], Honoured),
                (&["--hardware-csv", "h.csv"], Honoured),
                (&["--kubeconfig", "k"], Honoured),
                (&["-v", "6"], Honoured),
                (&["--verbosity", "6"], Honoured),
                (&["--tinkerbell-bootstrap-ip", "10.0.0.1"], Remark),
                (&["--bundles-override", "b.yaml"], Refused),
                (&["--control-plane-wait-timeout", "60m"], Remark),
                (&["--external-etcd-wait-timeout=1h30m0s"], Remark),
                (&["--per-machine-wait-timeout", "10m0s"], Remark),
                (&["--node-startup-timeout", "20m"], Remark),
                (&["--unhealthy-machine-timeout", "300s"], Remark),
                (&["--no-timeouts"], Remark),
                (&["--skip-ip-check"], Honoured),
                (&["--install-packages", "p.yaml"], Refused),
                (&["--skip-validations=vsphere-user-privilege"], Remark),
                (&["--skip-validations=pod-disruption"], Refused),
                (&["--force-cleanup"], Refused),
                (&["--tinkerbell-bmc-consumer-url", "x"], Refused),
                (&["--tinkerbell-bmc-http-content-type", "x"], Refused),
                (&["--tinkerbell-bmc-http-method", "x"], Refused),
                (&["--tinkerbell-bmc-timestamp-header", "x"], Refused),
                (&["--tinkerbell-bmc-static-headers", "x"], Refused),
                (&["--tinkerbell-bmc-sig-header-name", "x"], Refused),
                (&["--tinkerbell-bmc-append-algo-to-header-disabled"], Refused),
                (&["--tinkerbell-bmc-sig-included-payload-headers", "x"], Refused),
                (&["--tinkerbell-bmc-prefix-sig-disabled"], Refused),
                (&["--tinkerbell-bmc-hmac-secrets", "x"], Refused),
                (&["--tinkerbell-bmc-custom-payload", "x"], Refused),
                (&["--tinkerbell-bmc-custom-payload-dot-location", "x"], Refused),
            ],
        );
    }

    /// Every flag of EKS Anywhere's `delete cluster`.
    #[test]
    fn every_flag_of_delete_is_taken_or_refused_by_name() {
        check(
            "delete",
            &[
                (&["-f", "c.yaml"], Honoured),
                (&["--kubeconfig", "k"], Honoured),
                (&["-v", "6"], Honoured),
                (&["--w-config", "k"], Remark),
                (&["--hardware-csv", "h.csv"], Remark),
                (&["--tinkerbell-bootstrap-ip", "10.0.0.1"], Remark),
                (&["--bundles-override", "b.yaml"], Refused),
                (&["--force-cleanup"], Refused),
            ],
        );
        assert_eq!(verdicts("delete", &["-w", "k"]).remarks.len(), 1);
        assert_eq!(verdicts("delete", &["-z", "h.csv"]).remarks.len(), 1);
    }

    #[test]
    fn all_refusals_come_at_once() {
        let found = verdicts("create", &["--force-cleanup", "--bundles-override", "b.yaml"]);
        let text = found.settle().unwrap_err().to_string();
        assert!(
            text.contains("--force-cleanup") && text.contains("--bundles-override"),
            "{text}"
        );
    }

    #[test]
    fn durations_are_those_of_go() {
        for good in ["60m", "1h30m0s", "0.5h", "300ms"] {
            assert_eq!(duration(good).as_deref(), Ok(good));
        }
        for bad in ["", "60", "1d", "m", "ten", "1h-5m"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
