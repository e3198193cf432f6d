//! The first-boot script and the bootstrap script as programs: syntax, and what they do without a network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::process::Command;

use node_config::FIRST_BOOT_SCRIPT;

#[test]
fn nothing_of_the_script_needs_more_than_the_standard_library() {
    let standard = [
        "base64",
        "http.client",
        "json",
        "os",
        "socket",
        "ssl",
        "subprocess",
        "sys",
        "time",
        "urllib.parse",
    ];
    for line in FIRST_BOOT_SCRIPT.lines() {
        let module = line
            .strip_prefix("import ")
            .or_else(|| line.strip_prefix("from ")?.split(' ').next());
        if let Some(module) = module {
            assert!(standard.contains(&module), "{module}");
        }
    }
}

/// Runs the script's own functions with its network calls replaced; skips with a note where there is no python3.
fn python(program: &str) -> Option<std::process::Output> {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("first_boot.py");
    fs::write(&script, FIRST_BOOT_SCRIPT).unwrap();
    let output = Command::new("python3")
        .arg("-B")
        .arg("-c")
        .arg(program)
        .current_dir(dir.path())
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: no python3 here ({error})");
            None
        }
    }
}

#[test]
fn files_are_written_the_command_runs_and_the_key_is_erased_once() {
    let program = r#"
import base64, json, os, stat, sys
sys.path.insert(0, ".")
import first_boot as f
f.HERE = os.getcwd()
for name in ("key.pem", "certificate.pem", "ca.pem"):
    open(name, "w").write("fake")
json.dump({"endpoints": ["https://192.0.2.5:7443"], "siteName": "site"}, open("first-boot.json", "w"))
target = os.path.abspath("out/file")
document = {"files": [{"path": target, "mode": 0o640, "contentBase64": base64.b64encode(b"secret-canary").decode()}],
            "command": ["/bin/sh", "-c", "echo ran >> " + os.path.abspath("count")]}
class Context:
    verify_flags = 0
    def load_cert_chain(self, *a): pass
f.ssl.create_default_context = lambda *a, **k: Context()
asked = []
def ask(config, context, where, limit):
    asked.append(where)
    return json.dumps(document).encode()
f.ask = ask
assert f.main() == 0
assert f.main() == 0
assert asked == ["/v1/first-boot", "/v1/first-boot/done"], asked
assert stat.S_IMODE(os.stat(target).st_mode) == 0o640
assert open("count").read() == "ran\n"
assert not os.path.exists("key.pem") and not os.path.exists("certificate.pem")
"#;
    let Some(output) = python(program) else { return };
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(
        !out.contains("secret-canary") && out.contains("13 octets"),
        "{out}"
    );
}

#[test]
fn a_reset_after_the_command_repeats_only_the_farewell() {
    let program = r#"
import json, os, sys
sys.path.insert(0, ".")
import first_boot as f
f.HERE = os.getcwd()
for name in ("key.pem", "certificate.pem", "ca.pem", "ran"):
    open(name, "w").write("fake")
json.dump({"endpoints": [], "siteName": "site"}, open("first-boot.json", "w"))
class Context:
    verify_flags = 0
    def load_cert_chain(self, *a): pass
f.ssl.create_default_context = lambda *a, **k: Context()
asked = []
def ask(config, context, where, limit):
    asked.append(where)
    raise f.Refused("gone")
f.ask = ask
assert f.main() == 0 and asked == ["/v1/first-boot/done"], asked
assert not os.path.exists("key.pem") and os.path.exists("done")
"#;
    let Some(output) = python(program) else { return };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn paths_outside_of_the_root_are_refused() {
    let program = r#"
import os, sys
sys.path.insert(0, ".")
import first_boot as f
for path in ("relative", "/a/../b"):
    try:
        f.carry_out({"files": [{"path": path, "mode": 0, "contentBase64": ""}]})
    except ValueError:
        continue
    sys.exit(1)
"#;
    let Some(output) = python(program) else { return };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_bootstrap_script_is_good_shell() {
    let script = include_str!("../src/bootstrap/bootstrap.sh");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bootstrap.sh");
    fs::write(&path, script).unwrap();
    let output = Command::new("sh").arg("-n").arg(&path).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
