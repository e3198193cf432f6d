//! Certificates that are renewed in the installer, and programs of an installed system.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use agent::actions::run;
use agent::system::{InstalledProgram, run_installed};
use agent::{Error, Lease};
use agent_protocol::environment::{FACT_API_SERVER_CERTIFICATE, FACT_ETCD_CERTIFICATE};
use disk_image::Target as _;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use pki::ServedCertificate;
use tokio_util::sync::CancellationToken;

use crate::host::{Machine, context};

pub(crate) const SETTINGS: [(&str, &str); 3] = [
    ("DEST_DISK", "/dev/disk"),
    ("NODE_NAME", "node-1"),
    ("RENEWAL_SCRIPT", "renew"),
];
const PKI: &str = "part2/etc/kubernetes/pki";
const KUBELET: &str = "part2/var/lib/kubelet/pki/kubelet-client-current.pem";
const API_SERVER: &str = "part2/etc/kubernetes/pki/apiserver.crt";
const BEGUN: &str = "part2/etc/kubernetes/.gantry-renewal";

/// A certificate that ends in so many days, the same each time.
fn certificate(days: i64) -> String {
    static MADE: OnceLock<Mutex<BTreeMap<i64, String>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Default::default).lock().unwrap();
    let make = || {
        let mut params = rcgen::CertificateParams::new(vec!["node-1".to_owned()]).unwrap();
        let now = std::time::SystemTime::now();
        let day = std::time::Duration::from_secs(24 * 3600);
        params.not_before = (now - day * 400).into();
        let span = day * u32::try_from(days.unsigned_abs()).unwrap();
        params.not_after = if days < 0 { now - span } else { now + span }.into();
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    };
    made.entry(days).or_insert_with(make).clone()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A member of a control plane whose certificates end in so many days, on a disk without partitions.
pub(crate) fn install(machine: &Machine, days: i64, kubelet: i64) {
    let disk = disk_image::DiskTarget::open(&machine.file("disk")).unwrap();
    disk.write_at(&vec![0; 1 << 20], 0).unwrap();
    // What tells ext4.
    disk.write_at(&[0x53, 0xef], 1080).unwrap();
    for name in [
        "ca",
        "apiserver",
        "front-proxy-client",
        "etcd/server",
        "etcd/peer",
    ] {
        let days = if name == "ca" { 3000 } else { days };
        write(&machine.file(&format!("{PKI}/{name}.crt")), &certificate(days));
    }
    write(&machine.file(KUBELET), &certificate(kubelet));
    *machine.program.lock().unwrap() = Some(renew);
}

/// What the script does.
fn renew(root: &Path, arguments: &[&str]) {
    let pki = root.join("etc/kubernetes/pki");
    for (name, days) in [
        ("apiserver", 365),
        ("front-proxy-client", 365),
        ("etcd/server", 364),
        ("etcd/peer", 365),
    ] {
        write(&pki.join(format!("{name}.crt")), &certificate(days));
    }
    if arguments == ["node-1"] {
        let kubelet = "var/lib/kubelet/pki/kubelet-client-current.pem";
        write(&root.join(kubelet), &certificate(366));
    }
    let _ = std::fs::remove_dir(root.join("etc/kubernetes/.gantry-renewal"));
}

fn machine(days: i64, kubelet: i64) -> Arc<Machine> {
    let machine = Machine::new(Vec::new());
    install(&machine, days, kubelet);
    Arc::new(machine)
}

fn act(machine: &Arc<Machine>, resumed: bool) -> (Result<agent::actions::Outcome, Error>, Vec<String>) {
    let context = context(machine, &SETTINGS, resumed);
    let done = run("renew-certificates", &context);
    let lines = context.board.take_log();
    (done, lines)
}

#[test]
fn certificates_that_have_ended_are_renewed_and_reported() {
    for (kubelet, after) in [(-1, 366), (100, 100)] {
        let machine = machine(-1, kubelet);
        let (done, _) = act(&machine, false);
        let facts = done.unwrap().facts;
        for (fact, days) in [(FACT_API_SERVER_CERTIFICATE, 365), (FACT_ETCD_CERTIFICATE, 364)] {
            let made = ServedCertificate::of_pem(certificate(days).as_bytes()).unwrap();
            assert_eq!(facts[fact], made.sha256.to_string(), "{fact}");
        }
        assert_eq!(machine.read(KUBELET), certificate(after));
    }
}

#[test]
fn one_that_has_ended_is_enough() {
    let machine = machine(100, 100);
    write(&machine.file(&format!("{PKI}/etcd/peer.crt")), &certificate(-1));
    act(&machine, false).0.unwrap();
    assert_eq!(machine.read(API_SERVER), certificate(365));
}

#[test]
fn certificates_that_count_are_left_alone() {
    let machine = machine(100, -1);
    let (refused, _) = act(&machine, false);
    let error = refused.unwrap_err();
    assert!(error.is_hopeless());
    assert!(
        error.line().contains("not renewed in the installer"),
        "{}",
        error.line()
    );
    assert_eq!(machine.read(API_SERVER), certificate(100));

    // A run before this one has renewed them, or was cut off in the middle.
    let (done, lines) = act(&machine, true);
    assert!(done.unwrap().message.contains("count until"));
    assert_eq!(lines, ["the certificates are new already"]);
    assert_eq!(machine.read(API_SERVER), certificate(100));
    for resumed in [false, true] {
        std::fs::create_dir(machine.file(BEGUN)).unwrap();
        act(&machine, resumed).0.unwrap();
        assert_eq!(machine.read(API_SERVER), certificate(365));
        assert!(!machine.file(BEGUN).exists());
    }
}

#[test]
fn a_disk_without_a_member_and_certificates_that_stay_old_are_errors() {
    let machine = machine(-1, -1);
    std::fs::remove_file(machine.file(&format!("{PKI}/ca.crt"))).unwrap();
    let error = act(&machine, false).0.unwrap_err();
    assert!(error.is_hopeless());
    assert!(
        error.line().contains("/etc/kubernetes/pki/ca.crt"),
        "{}",
        error.line()
    );

    // A member has it; the script of this one makes none.
    let machine = self::machine(-1, -1);
    *machine.program.lock().unwrap() = None;
    let error = act(&machine, false).0.unwrap_err();
    assert!(
        error.line().contains("has ended all the same"),
        "{}",
        error.line()
    );
}

/// The root of an installed system that has this machine's programs; `None`, and said so, where none can be made.
fn installed(folder: &Path) -> Option<()> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: entering an installed system needs root");
        return None;
    }
    // For this thread alone.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    mount(Some(folder), folder, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    for name in ["dev", "proc", "run", "tmp", "etc"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    for name in ["usr", "bin", "lib", "lib64"] {
        let source = Path::new("/").join(name);
        if source.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source).unwrap(), folder.join(name)).unwrap();
        } else if source.is_dir() {
            std::fs::create_dir(folder.join(name)).unwrap();
            mount(
                Some(&source),
                &folder.join(name),
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .unwrap();
        }
    }
    Some(())
}

/// Runs a text in an installed system; what it said and how it ended.
fn in_system(
    script: &str,
    arguments: &[&str],
    cancel: &CancellationToken,
) -> Option<(Vec<String>, Result<(), Error>)> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| {
            installed(root)?;
            let mut lines = Vec::new();
            let lease = Lease::new(std::time::Instant::now(), agent_protocol::LEASE);
            let program = InstalledProgram {
                root,
                script,
                arguments,
                lease: &lease,
                cancel,
            };
            let done = run_installed(&program, &mut |line| lines.push(line));
            if done.is_ok() {
                assert_eq!(
                    std::fs::read_to_string(root.join("etc/made")).unwrap(),
                    "node-1\n"
                );
                assert!(!root.join("run/gone").exists(), "what is mounted goes with it");
            }
            Some((lines, done))
        });
        runs.join().unwrap()
    })
}

#[test]
fn a_program_of_the_installed_system_sees_that_system_alone() {
    let script = "set -eu; echo $1 > /etc/made; touch /run/gone; test -c /dev/null; test -d /proc/1
        [ ! -e /root ]; [ $(wc -l < /proc/net/route) -le 1 ]
        mkdir /tmp/x; unshare --mount mount --bind /tmp/x /etc; echo said >&2";
    let Some((lines, done)) = in_system(script, &["node-1"], &CancellationToken::new()) else {
        return;
    };
    done.unwrap_or_else(|error| panic!("{}: {lines:?}", error.line()));
    assert_eq!(lines, ["said"]);
}

#[test]
fn a_program_that_fails_or_hangs_is_ended_and_said() {
    let none = CancellationToken::new();
    let Some((_, failed)) = in_system("echo one; echo why >&2; exit 3", &[], &none) else {
        return;
    };
    let error = failed.unwrap_err().line();
    assert!(error.contains("exit status 3"), "{error}");
    let (_, killed) = in_system("kill -9 $$", &[], &none).unwrap();
    assert!(killed.unwrap_err().line().contains("signal 9"));
    // What it leaves behind ends with it.
    let (lines, done) = in_system("echo node-1 > /etc/made; sleep 1000 & echo left", &[], &none).unwrap();
    done.unwrap();
    assert_eq!(lines, ["left"]);
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let (_, stopped) = in_system("sleep 1000", &[], &cancelled).unwrap();
    assert!(matches!(stopped, Err(Error::Stopped { .. })));
}
