//! The script of the first boot as a program, with an appliance that is played.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::process::Command;

use node_config::FIRST_BOOT_SCRIPT;

#[test]
fn nothing_of_the_script_needs_more_than_the_standard_library() {
    let standard = [
        "base64",
        "collections",
        "hashlib",
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
asked, stages = [], []
def ask(config, context, where, limit, content=b""):
    asked.append(where)
    return json.dumps(document).encode()
f.ask = ask
f.begin = lambda config, context, stage: stages.append(stage)
assert f.main() == 0
assert f.main() == 0
assert stages == ["write-files"], stages
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
        !out.contains("secret-canary") && out.contains("13 bytes"),
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
def ask(config, context, where, limit, content=b""):
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
        f.carry_out({"files": [{"path": path, "mode": 0, "contentBase64": ""}]}, lambda stage: None, None)
    except f.Failed as failed:
        assert failed.stage == "write-files" and "refusing to write" in failed.lines[-1], failed.lines
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

/// An appliance of plain HTTP that notes what it is asked, and says what `answers` has for a path; with the script's own
/// calls, all but TLS.
const APPLIANCE: &str = r#"
import base64, http.server, json, os, socket, sys, threading
sys.path.insert(0, ".")
import first_boot as f
f.HERE = os.getcwd()
f.kubelet_log = lambda: ["kubelet: not started"]
f.time.sleep = lambda seconds: None
asked, answers = [], {}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked.append((self.path, json.loads(body) if body else None))
        queue = answers.get(self.path, [])
        status, content = queue.pop(0) if queue else (204, b"")
        if status is None:
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
f.Connection.connect = lambda self: setattr(self, "sock", socket.create_connection((self.host, self.port)))
config = {"endpoints": ["https://127.0.0.1:%d" % server.server_port], "siteName": "site"}
def document(shell):
    return 200, json.dumps({"files": [], "command": ["/bin/sh", "-c", shell]}).encode()
def calls(path):
    return [body for where, body in asked if where == path]
"#;

fn succeeds(program: &str) {
    let Some(output) = python(&format!("{APPLIANCE}{program}")) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_failure_is_reported_with_its_stage_after_the_last_attempt() {
    succeeds(
        r#"
shell = """
echo gantry-stage: containerd
echo gantry-stage: kubeadm-join
for n in $(seq 1 100); do echo line $n; done
echo "error: no such cluster" >&2
echo "To see the stack trace of this error execute with --v=5 or higher" >&2
echo ran >> %s/count
exit 3
""" % os.getcwd()
answers["/v1/first-boot"] = [document(shell)] * f.ATTEMPTS
# The appliance is restarted meanwhile: no answer, half an answer, an error of its own.
answers["/v1/first-boot/failed"] = [(None, b""), (503, b"not ready"), (204, b"")]
try:
    f.bootstrap(config, None)
    sys.exit("it has not failed")
except f.Failed as failed:
    pass
assert open("count").read() == "ran\n" * f.ATTEMPTS
stages = [body["stage"] for body in calls("/v1/first-boot/stage")]
assert stages == ["write-files", "containerd", "kubeadm-join"] * f.ATTEMPTS, stages
reports = calls("/v1/first-boot/failed")
assert len(reports) == 3 and reports[0] == reports[1] == reports[2], reports
report = reports[0]
assert (report["stage"], report["exitStatus"]) == ("kubeadm-join", 3), report
lines = report["lines"]
assert len(lines) == 40 and lines[0] == "kubelet: not started", lines
assert lines[-2:] == ["line 100", "error: no such cluster"], lines
"#,
    );
}

#[test]
fn what_would_do_harm_is_not_repeated_and_the_first_reason_is_told() {
    succeeds(
        r#"
shell = """
echo gantry-stage: kubeadm-join
[ ! -e %s/once ] || { echo "not repeated"; exit 100; }
: > %s/once
echo "error: etcd does not answer"
exit 1
""" % (os.getcwd(), os.getcwd())
answers["/v1/first-boot"] = [document(shell)] * f.ATTEMPTS
try:
    f.bootstrap(config, None)
    sys.exit("it has not failed")
except f.Failed:
    pass
assert len(calls("/v1/first-boot")) == 2
(report,) = calls("/v1/first-boot/failed")
assert report["exitStatus"] == 1, report
assert report["lines"][-1] == "error: etcd does not answer" and "not repeated" in report["lines"], report
"#,
    );
}

/// A document with a download, for the played appliance.
const DOWNLOAD: &str = r#"
import hashlib, stat
content = os.urandom(3 * f.PIECE + 7)
digest = hashlib.sha256(content).hexdigest()
target = os.path.abspath("out/snapshot")
entry = {"path": target, "mode": 0o600, "sha256": "sha256:" + digest, "size": len(content)}
where = "/v1/first-boot/file/" + digest
shell = "sha256sum < %s >> %s/ran" % (target, os.getcwd())
with_download = (200, json.dumps({"files": [], "downloads": [entry], "command": ["/bin/sh", "-c", shell]}).encode())
def fails():
    try:
        f.bootstrap(config, None)
    except f.Failed as failed:
        return failed
    sys.exit("it has not failed")
"#;

#[test]
fn a_download_is_checked_and_there_before_the_command() {
    succeeds(&format!(
        "{DOWNLOAD}{}",
        r#"
answers["/v1/first-boot"] = [with_download] * 2
changed = content[:-1] + bytes([content[-1] ^ 1])
# It is not there yet; the appliance goes away; it ends in the middle; what comes is not what was promised; then it comes.
answers[where] = [(404, b""), (503, b""), (None, b""), (200, content[:-1]), (200, content + b"x"), (200, changed), (200, content)]
f.bootstrap(config, None)
assert len(calls(where)) == 7 and not answers[where]
assert open(target, "rb").read() == content
assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
assert os.listdir("out") == ["snapshot"], os.listdir("out")
assert open("ran").read() == digest + "  -\n"
stages = [body["stage"] for body in calls("/v1/first-boot/stage")]
assert stages == ["write-files", "download"], stages
# What is there is not fetched again.
f.bootstrap(config, None)
assert len(calls(where)) == 7
"#
    ));
}

#[test]
fn a_download_that_this_machine_cannot_keep_is_reported() {
    succeeds(&format!(
        "{DOWNLOAD}{}",
        r#"
answers["/v1/first-boot"] = [with_download] * f.ATTEMPTS
answers[where] = [(200, content)] * 9
open("out", "w").write("no folder")
failed = fails()
assert failed.stage == "download", failed.stage
(report,) = calls("/v1/first-boot/failed")
assert report["stage"] == "download" and "out" in report["lines"][-1], report
assert not os.path.exists("ran")
"#
    ));
}

#[test]
fn a_download_is_written_nowhere_else_and_given_up_in_bounded_time() {
    succeeds(&format!(
        "{DOWNLOAD}{}",
        r#"
import itertools
for path in ("relative", "/a/../b"):
    try:
        f.carry_out({"files": [], "downloads": [dict(entry, path=path)]}, lambda stage: None, lambda entry: f.download(config, None, entry))
        sys.exit(1)
    except f.Failed as failed:
        assert failed.stage == "download" and "refusing to write" in failed.lines[-1], failed.lines
assert calls(where) == []
clock = itertools.count(step=600)
f.time.monotonic = lambda: next(clock)
answers["/v1/first-boot"] = [with_download] * f.ATTEMPTS
answers[where] = [(200, content[:9])] * 1000
failed = fails()
assert "no answer to" in failed.lines[-1], failed.lines
count = len(calls(where))
assert f.ATTEMPTS * 10 <= count <= f.ATTEMPTS * 14, count
assert not os.path.exists("ran") and not os.path.exists(target)
# One that refuses ends it.
answers[where] = [(403, b"fenced")]
try:
    f.download(config, None, entry)
    sys.exit(1)
except f.Refused:
    pass
"#
    ));
}

#[test]
fn a_second_attempt_that_succeeds_reports_nothing() {
    succeeds(
        r#"
shell = "[ -e %s/once ] || { : > %s/once; exit 1; }" % (os.getcwd(), os.getcwd())
answers["/v1/first-boot"] = [document(shell)] * f.ATTEMPTS
f.bootstrap(config, None)
assert len(calls("/v1/first-boot")) == 2 and calls("/v1/first-boot/failed") == []
"#,
    );
}

#[test]
fn an_appliance_that_is_silent_is_asked_for_a_bounded_time_only() {
    succeeds(
        r#"
import itertools
clock = itertools.count(step=60)
f.time.monotonic = lambda: next(clock)
answers["/v1/first-boot/failed"] = [(None, b"")] * 1000
f.report(config, None, f.Failed("containerd", 1, ["no"]))
count = len(calls("/v1/first-boot/failed"))
assert 25 <= count <= 31, count
# One that has nothing yet is there, and asked for as long as it takes.
answers["/v1/first-boot"] = [(503, b"")] * 400 + [(200, b"data")]
assert f.ask(config, None, "/v1/first-boot", f.LIMIT) == b"data"
# One that refuses is not asked again.
answers["/v1/first-boot/failed"] = [(403, b"fenced")] * 9
before = len(asked)
f.report(config, None, f.Failed("containerd", 1, ["no"]))
assert len(asked) == before + 1
"#,
    );
}
