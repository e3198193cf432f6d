//! A virtual rack with an appliance beside it, as the quickstart has them: the appliance in the rack's site namespace,
//! as an unprivileged user with three capabilities; the commands of a user as root in the same namespace.

mod at_bmc;

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aho_corasick::AhoCorasick;
use anyhow::{Context, bail, ensure};
use kill_points::KillPoint;
use lab::{MachinePlan, RackPaths, RackPlan, UpOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::cluster_client::ClusterClient;
use crate::command::done;
use crate::server::program;
use crate::waiting::{unless_asked_to_end, until};

/// The appliance's user; no account has it.
const USER: u32 = 64990;
const CAPABILITIES: &str = "-all,+net_admin,+net_bind_service,+net_raw";
/// Beginning of the names of racks' folders; number of the process and id of the rack follow.
const PREFIX: &str = "gantry-rack-";
const START: Duration = Duration::from_secs(60);
/// Until a kill point is reached; machines are emulated.
const POINT: Duration = Duration::from_secs(30 * 60);

/// What a rack needs that is not there.
pub(crate) fn missing() -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("root, for network namespaces".to_owned());
    }
    missing_for(&[
        "qemu-system-x86_64",
        "ip",
        "setpriv",
        "strip",
        "curl",
        "ssh-keyscan",
    ])
}

/// Which of these tools, or of the images, is not there.
pub(crate) fn missing_for(tools: &[&str]) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let present = |tool: &&str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let lacks: Vec<&str> = tools.iter().filter(|tool| !present(tool)).copied().collect();
    if !lacks.is_empty() {
        return Some(format!("{} (hack/needs installs them)", lacks.join(", ")));
    }
    let listed = Command::new(program().ok()?)
        .args(["image", "list", "-o", "json"])
        .output()
        .ok()?;
    let parts: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    let built = |name: &str| {
        parts
            .iter()
            .any(|part| part["name"] == name && !part["built"].is_null())
    };
    let images = ["kubernetes", "boot", "node-debian"];
    images
        .iter()
        .any(|name| !built(name))
        .then(|| "images: gantry image build".to_owned())
}

/// A rack that is up.
pub(crate) struct Rack {
    pub(crate) plan: RackPlan,
    pub(crate) paths: RackPaths,
    /// URL of the node image, as a cluster names it; of the newest release.
    pub(crate) image: String,
    /// Those of older releases that are built, newest first.
    pub(crate) older_images: Vec<String>,
    /// Further flags of `gantry serve`.
    pub(crate) serve_flags: Vec<String>,
    /// Values for emulated machines instead of those of Kubernetes and of real hardware.
    pub(crate) lab_timings: bool,
    folder: tempfile::TempDir,
    appliance: Option<Child>,
    is_up: bool,
}

impl Rack {
    /// Starts a rack of powered-off machines; its disks are proven blank.
    pub(crate) fn up(seed: &str, options: UpOptions) -> anyhow::Result<Rack> {
        let plan = RackPlan::derive(seed, &options);
        let paths = RackPaths::new(&lab::state_root(), &plan.id);
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-{}-", std::process::id(), plan.id))
            .tempdir_in("/var/tmp")?;
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin)?;
        for source in [program()?, program()?.with_file_name("gantry-agent")] {
            // Stripped: the agent travels over the network, and the appliance's user may not read our target folder.
            let to = bin.join(source.file_name().context("no name")?);
            done(Command::new("strip").arg("-o").arg(&to).arg(&source))?;
        }
        let mut rack = Rack {
            plan,
            paths,
            image: String::new(),
            older_images: Vec::new(),
            serve_flags: Vec::new(),
            lab_timings: true,
            folder,
            appliance: None,
            is_up: false,
        };
        let exported = rack.user(&["image", "export", &rack.file("parts").display().to_string()])?;
        let mut images = exported.lines().map(str::to_owned);
        rack.image = images.next().unwrap_or_default();
        rack.older_images = images.collect();
        done(Command::new("chmod").args(["-R", "a+rX"]).arg(rack.file("parts")))?;
        let (count, firmware) = (options.machines.to_string(), options.firmware.to_string());
        let (disk, cpus) = (options.disk_gib.to_string(), options.cpus.to_string());
        let memory: Vec<String> = options.memory_mib.iter().map(u32::to_string).collect();
        let memory = memory.join(",");
        let mut up = vec!["lab", "up", "--detach", "--capture", "--seed", seed];
        up.extend(["--machines", &count, "--firmware", &firmware, "--disk", &disk]);
        up.extend(["--memory", &memory, "--cpus", &cpus]);
        if options.netboot_first {
            up.push("--netboot-first");
        }
        if options.swap_disks {
            up.push("--swap-disks");
        }
        if options.usb_disk {
            up.push("--usb-disk");
        }
        if options.ipmi_only {
            up.push("--ipmi-only");
        }
        let bad_disk = options.bad_disk.map(|machine| machine.to_string());
        if let Some(machine) = &bad_disk {
            up.extend(["--bad-disk", machine]);
        }
        rack.is_up = true;
        rack.user(&up)?;
        rack.write_inputs()?;
        Ok(rack)
    }

    /// Every disk of every machine holds only zeros.
    pub(crate) fn blank(&self) -> anyhow::Result<()> {
        for machine in &self.plan.machines {
            for disk in 0..2 {
                let path = self.paths.disk(machine, disk);
                ensure!(lab::is_blank(&path)?, "{} is not blank", path.display());
            }
        }
        Ok(())
    }

    /// A file of the story's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Names of the machines.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.plan.machines.iter().map(|machine| machine.name.as_str())
    }

    /// Starts the appliance and waits until its API answers.
    pub(crate) async fn serve(&mut self) -> anyhow::Result<()> {
        self.start(None).await
    }

    /// Starts an appliance that is killed when it reaches a point.
    pub(crate) async fn serve_until(&mut self, point: KillPoint) -> anyhow::Result<()> {
        self.start(Some(point)).await
    }

    async fn start(&mut self, kill_at: Option<KillPoint>) -> anyhow::Result<()> {
        for name in ["data", "keys"] {
            self.appliance_folder(name)?;
        }
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.file("serve.log"))?;
        let mut command = self.appliance_command(&["serve"])?;
        command.arg("--parts").arg(self.file("parts"));
        let address = self.plan.site_address.to_string();
        command.args(["--interface", self.plan.site_interface, "--address", &address]);
        command.args(["--lab-timings", if self.lab_timings { "true" } else { "false" }]);
        command.args(["--kernel-arguments", "console=ttyS0,115200"]);
        command.args(&self.serve_flags);
        if let Some(point) = kill_at {
            command.env("GANTRY_KILL_AT", point.name());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.appliance = Some(command.spawn().context("the appliance does not start")?);
        let answered = until("the appliance answers", START, || async {
            self.gantry(&["version", "--server"])
        })
        .await;
        answered.map(drop).with_context(|| self.log())
    }

    /// A folder of the story that belongs to the appliance's user alone.
    pub(crate) fn appliance_folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        std::fs::create_dir_all(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        chown(&path, Some(USER), Some(USER))?;
        Ok(path)
    }

    /// A command of the appliance's user with the appliance's data and keys.
    fn appliance_command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let user = USER.to_string();
        let mut command = lab::site_command(&self.plan, "setpriv")?;
        command.args([
            "--reuid",
            &user,
            "--regid",
            &user,
            "--clear-groups",
            "--no-new-privs",
        ]);
        for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
            command.arg(format!("{set}={CAPABILITIES}"));
        }
        command.arg(self.file("bin/gantry")).args(arguments);
        for (flag, name) in [("--data", "data"), ("--key-dir", "keys")] {
            command.arg(flag).arg(self.file(name));
        }
        command.env_remove("GANTRY_CONFIG");
        Ok(command)
    }

    /// Runs gantry as the appliance's user, with the appliance's data and keys.
    pub(crate) fn as_appliance(&self, arguments: &[&str]) -> anyhow::Result<String> {
        println!("$ gantry {}", arguments.join(" "));
        done(&mut self.appliance_command(arguments)?)
    }

    /// Waits until the appliance was killed at the point that [`Rack::serve_until`] named.
    pub(crate) async fn dies_at(&mut self, point: KillPoint) -> anyhow::Result<()> {
        let mut child = self.appliance.take().context("no appliance runs")?;
        let end = tokio::time::Instant::now() + POINT;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                None if tokio::time::Instant::now() > end => {
                    child.kill()?;
                    child.wait()?;
                    bail!("the appliance did not reach {point} within {} s", POINT.as_secs());
                }
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        ensure!(
            status.signal() == Some(Signal::SIGKILL as i32),
            "the appliance ended with {status} before {point}\n{}",
            self.log()
        );
        println!("kill -9 at {point}");
        Ok(())
    }

    /// `kill -9` of the appliance.
    pub(crate) fn kill_appliance(&mut self) -> anyhow::Result<()> {
        let mut child = self.appliance.take().context("no appliance runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Ends the appliance by SIGTERM; it must end cleanly.
    pub(crate) fn end_appliance(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.appliance.take() else {
            return Ok(());
        };
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        let status = child.wait()?;
        ensure!(
            status.success(),
            "the appliance ended with {status} on SIGTERM\n{}",
            self.log()
        );
        Ok(())
    }

    /// A command of the user beside the appliance.
    pub(crate) fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let program = self.file("bin/gantry").display().to_string();
        let mut command = lab::site_command(&self.plan, &program)?;
        command.current_dir(self.folder.path());
        command
            .arg("--kubeconfig")
            .arg(self.file("data/admin.kubeconfig"))
            .args(arguments);
        Ok(command)
    }

    /// Runs gantry against the appliance.
    pub(crate) fn gantry(&self, arguments: &[&str]) -> anyhow::Result<String> {
        done(&mut self.command(arguments)?)
    }

    /// Runs gantry against the appliance with input that it must refuse: its exit code and what it said, which is shown.
    pub(crate) fn refused(&self, arguments: &[&str]) -> anyhow::Result<(i32, String)> {
        println!("$ gantry {}", arguments.join(" "));
        let output = self.command(arguments)?.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or(-1);
        print!("{}{said}", String::from_utf8_lossy(&output.stdout));
        println!("(exit code {code})");
        ensure!(code != 0, "gantry {} must be refused", arguments.join(" "));
        Ok((code, said))
    }

    /// Runs kubectl against the new cluster and shows what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        println!("$ kubectl {}", arguments.join(" "));
        let text = self.asked(arguments)?;
        print!("{text}");
        Ok(text)
    }

    /// What kubectl says about the new cluster.
    pub(crate) fn asked(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster_client().asked(arguments)
    }

    /// kubectl for the new cluster.
    pub(crate) fn cluster_client(&self) -> ClusterClient {
        let name = &self.plan.cluster_name;
        self.client(&format!("{name}/{name}-eks-a-cluster.kubeconfig"))
    }

    /// What kubectl says about the appliance's API.
    pub(crate) fn appliance_asked(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.client("data/admin.kubeconfig").asked(arguments)
    }

    /// kubectl for another cluster, by a kubeconfig in the story's folder.
    pub(crate) fn client(&self, kubeconfig: &str) -> ClusterClient {
        ClusterClient {
            plan: self.plan.clone(),
            kubectl: self.file("parts/bin/kubectl"),
            kubeconfig: self.file(kubeconfig),
        }
    }

    /// The SSH host keys of a machine, sorted.
    pub(crate) fn host_keys(&self, machine: &str) -> anyhow::Result<String> {
        let of = |plan: &&MachinePlan| plan.name == machine;
        let plan = self.plan.machines.iter().find(of).context("no such machine")?;
        let mut command = lab::site_command(&self.plan, "ssh-keyscan")?;
        let text = done(command.args(["-T", "30", &plan.ip.to_string()]))?;
        let mut keys: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        keys.sort_unstable();
        ensure!(!keys.is_empty(), "{machine} shows no SSH host key");
        Ok(keys.join("\n"))
    }

    /// The end of the appliance's log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.file("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Does some work with the rack and removes it after that, however the work ends; also when somebody asks this
    /// program to end.
    pub(crate) async fn during<T>(
        mut self,
        work: impl AsyncFnOnce(&mut Rack) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let result = unless_asked_to_end(work(&mut self)).await;
        self.down(result.is_err());
        result
    }

    /// Ends everything; on a failure it says what the machines last wrote.
    fn down(self, failed: bool) {
        if failed {
            println!(
                "{}",
                self.user(&["lab", "status", &self.plan.id]).unwrap_or_default()
            );
            println!(
                "{}",
                self.gantry(&["explain", &self.plan.cluster_name])
                    .unwrap_or_default()
            );
            println!("{}", self.log());
        }
    }

    fn write_inputs(&self) -> anyhow::Result<()> {
        std::fs::write(self.file("hardware.csv"), self.plan.hardware_csv())?;
        let machines = self.plan.machines.len().to_string();
        let cluster = self.user(&[
            "lab",
            "plan",
            "cluster",
            "--seed",
            &self.plan.seed,
            "--machines",
            &machines,
            "--os-image-url",
            &self.image,
        ])?;
        Ok(std::fs::write(self.file("cluster.yaml"), cluster)?)
    }

    /// Runs gantry outside of the site.
    fn user(&self, arguments: &[&str]) -> anyhow::Result<String> {
        done(Command::new(self.file("bin/gantry")).args(arguments))
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        if self.appliance.is_some() {
            drop(self.kill_appliance());
        }
        if self.is_up
            && let Err(error) = self.user(&["lab", "down", &self.plan.id])
        {
            eprintln!("rack {} stays: {error:#}", self.plan.id);
        }
    }
}

/// Process and id of the rack that a folder of this name is of.
pub(crate) fn owner(folder: &str) -> Option<(u32, &str)> {
    let mut parts = folder.strip_prefix(PREFIX)?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?))
}

/// The first of the patterns that a file holds; captures and images are large, so it is read once for all of them.
pub(crate) fn held(path: &Path, patterns: &AhoCorasick) -> anyhow::Result<Option<usize>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    match patterns.stream_find_iter(file).next() {
        Some(found) => Ok(Some(found?.pattern().as_usize())),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_whose_rack_it_is_of() {
        assert_eq!(owner("gantry-rack-17-8c0ffee0-aBcDeF"), Some((17, "8c0ffee0")));
        assert_eq!(owner("gantry-rack-aBcDeF"), None);
    }

    #[test]
    fn patterns_are_found_wherever_they_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut content = vec![b'x'; (1 << 16) - 3];
        content.extend(b"needle");
        content.extend(vec![b'y'; 1 << 20]);
        std::fs::write(file.path(), content).unwrap();
        let of = |texts: &[&str]| AhoCorasick::new(texts).unwrap();
        assert_eq!(held(file.path(), &of(&["pin", "needle"])).unwrap(), Some(1));
        assert_eq!(held(file.path(), &of(&["pin", "needles"])).unwrap(), None);
    }
}
