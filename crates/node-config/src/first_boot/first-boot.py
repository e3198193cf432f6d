#!/usr/bin/python3
# First boot of an installed node. Pulls its bootstrap document once over mutual TLS, writes the files, downloads those
# that are too big for it, runs the command, says that it is done and erases its key. cloud-init starts it at every boot, so a reset in the middle
# is followed up; when done it does nothing. It tells the appliance the stage that it is in, and what the last lines
# were when it has failed for good.
# What it pulls is secret: only paths and sizes are printed, and what the command itself prints.
import base64
import collections
import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from urllib.parse import urlsplit

HERE = "/etc/gantry/first-boot"
# Seconds without any answer of the appliance after which a call is given up.
LIMIT = 2 * 3600
REPORT_LIMIT = 1800
ATTEMPTS = 4
# Seconds before the second attempt; each pause is twice as long as the one before.
PAUSE = 10
# Bytes of a download that are in memory at a time.
PIECE = 1 << 20
# Exit status of a command that would fail in the same way, or do harm, if it were run again.
NEVER_AGAIN = 100
# How the command says which stage it begins.
STAGE = "gantry-stage: "
# Lines and characters of a line that are reported.
LINES = 40
LONGEST = 400
# Lines of the kubelet's log among them.
KUBELET_LINES = 10
# What kubeadm prints after the reason.
ADVICE = ("To see the stack trace of this error", "[preflight] If you know what you are doing")


class Refused(Exception):
    pass


class Incomplete(Exception):
    """What was sent is not the file; it may be another time."""


class Later(Exception):
    def __init__(self, why, seconds):
        super().__init__(why)
        self.seconds = seconds


class Failed(Exception):
    """A stage has failed; `status` is the exit status of its command, if it had one."""

    def __init__(self, stage, status, lines):
        super().__init__("%s failed" % stage)
        self.stage = stage
        self.status = status
        self.lines = lines


def path(name):
    return os.path.join(HERE, name)


def say(text):
    print("gantry-first-boot: " + text, flush=True)


def sync_directory(directory):
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(target, pieces, mode):
    # The file appears complete or not at all.
    directory = os.path.dirname(target)
    os.makedirs(directory, exist_ok=True)
    new = target + ".gantry-new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb", closefd=False) as stream:
            for piece in pieces:
                stream.write(piece)
        os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(new, target)
    sync_directory(directory)


def mark(name):
    write(path(name), [], 0o600)


class Connection(http.client.HTTPConnection):
    # The server is known by the site's name, not by its address.
    def __init__(self, host, port, context, name, timeout):
        super().__init__(host, port, timeout=timeout)
        self.context = context
        self.name = name

    def connect(self):
        raw = socket.create_connection((self.host, self.port), timeout=min(self.timeout, 15))
        raw.settimeout(self.timeout)
        self.sock = self.context.wrap_socket(raw, server_hostname=self.name)


def post(config, context, endpoint, where, content=b"", timeout=90, take=http.client.HTTPResponse.read):
    parts = urlsplit(endpoint)
    connection = Connection(parts.hostname, parts.port or 443, context, config["siteName"], timeout)
    try:
        headers = {"Content-Length": str(len(content)), "Content-Type": "application/json"}
        connection.request("POST", where, body=content, headers=headers)
        answer = connection.getresponse()
        if 200 <= answer.status < 300:
            return take(answer)
    finally:
        connection.close()
    if answer.status in (400, 401, 403, 410, 413):
        raise Refused("the appliance refuses (HTTP %d)" % answer.status)
    try:
        seconds = int(answer.getheader("Retry-After") or "5")
    except ValueError:
        seconds = 5
    raise Later("not yet (HTTP %d)" % answer.status, min(max(seconds, 1), 60))


def ask(config, context, where, limit, content=b"", take=http.client.HTTPResponse.read):
    end = time.monotonic() + limit
    pause = 1
    while True:
        for endpoint in config["endpoints"]:
            try:
                return post(config, context, endpoint, where, content, take=take)
            except Later as later:
                # It is there, and has nothing yet: that may take as long as it takes.
                say("%s: %s" % (where, later))
                pause = later.seconds
                end = time.monotonic() + limit
            except (OSError, http.client.HTTPException, Incomplete) as error:
                say("%s: %s: %s" % (where, endpoint, error))
                pause = min(pause * 2, 30)
        if time.monotonic() > end:
            raise TimeoutError("no answer to %s within %d s" % (where, limit))
        time.sleep(pause)


def encode(content):
    return json.dumps(content).encode()


def begin(config, context, stage):
    # Only for people who watch: nothing waits for it, and one that is lost is lost.
    say("stage %s" % stage)
    for endpoint in config["endpoints"]:
        try:
            post(config, context, endpoint, "/v1/first-boot/stage", encode({"stage": stage}), timeout=5)
            return
        except (Refused, Later, OSError, http.client.HTTPException) as error:
            say("the stage was not noted: %s" % error)


def report(config, context, failed):
    content = {"stage": failed.stage, "exitStatus": failed.status, "lines": failed.lines[-LINES:]}
    try:
        ask(config, context, "/v1/first-boot/failed", REPORT_LIMIT, encode(content))
        say("the failure was reported")
    except (Refused, TimeoutError) as error:
        say("the failure could not be reported: %s" % error)


def target_of(entry):
    target = entry["path"]
    if not os.path.isabs(target) or ".." in target.split("/"):
        raise ValueError("refusing to write " + target)
    return target, int(entry["mode"]) & 0o777


def write_files(files):
    for entry in files:
        target, mode = target_of(entry)
        data = base64.b64decode(entry["contentBase64"], validate=True)
        write(target, [data], mode)
        say("wrote %s (%d bytes)" % (target, len(data)))


def pieces_of(answer, sha256, size):
    digest, count = hashlib.sha256(), 0
    while True:
        try:
            piece = answer.read(PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise Incomplete("%s after %d of %d bytes" % (error or type(error).__name__, count, size)) from error
        if not piece:
            break
        count += len(piece)
        digest.update(piece)
        if count > size:
            break
        yield piece
    if count != size:
        raise Incomplete("%d bytes instead of %d" % (count, size))
    if digest.hexdigest() != sha256:
        raise Incomplete("%d bytes with SHA-256 %s instead of %s" % (count, digest.hexdigest(), sha256))


def holds(target, sha256):
    digest = hashlib.sha256()
    try:
        with open(target, "rb") as stream:
            for piece in iter(lambda: stream.read(PIECE), b""):
                digest.update(piece)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == sha256


def download(config, context, entry):
    target, mode = target_of(entry)
    sha256, size = entry["sha256"].rpartition(":")[2], int(entry["size"])
    if holds(target, sha256):
        say("%s is there" % target)
        return

    def take(answer):
        try:
            write(target, pieces_of(answer, sha256, size), mode)
        except OSError as error:
            # Of this machine, such as a full disk: asking again is of no use.
            raise Failed("download", None, ["%s: %s" % (target, error)]) from error

    ask(config, context, "/v1/first-boot/file/" + sha256, LIMIT, take=take)
    say("downloaded %s (%d bytes)" % (target, size))


def kubelet_log():
    command = ["journalctl", "--unit", "kubelet.service", "--lines", str(KUBELET_LINES), "--output", "cat", "--no-pager"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return ["kubelet: " + line[:LONGEST] for line in lines if line.strip()]


def run(command, begins):
    # Prints what the command prints, and follows its stages.
    stage = "command"
    tail = collections.deque(maxlen=LINES)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for raw in iter(lambda: process.stdout.readline(65536), b""):
            line = raw.decode("utf-8", "replace").rstrip()
            if line.startswith(STAGE):
                stage = line[len(STAGE):]
                begins(stage)
                continue
            print(line, flush=True)
            if line.strip() and not line.startswith(ADVICE):
                tail.append(line[:LONGEST])
        status = process.wait()
    if status == 0:
        return
    lines = list(tail)
    if stage.startswith("kube"):
        kubelet = kubelet_log()
        # The command's own last line stays the last one.
        lines = kubelet + lines[len(kubelet) - LINES:]
    raise Failed(stage, status, lines)


def carry_out(document, begins, fetch):
    begins("write-files")
    try:
        write_files(document["files"])
    except (OSError, ValueError, KeyError) as error:
        raise Failed("write-files", None, ["%s: %s" % (type(error).__name__, error)]) from error
    downloads = document.get("downloads") or []
    if downloads:
        begins("download")
    try:
        for entry in downloads:
            fetch(entry)
    except (OSError, ValueError, KeyError) as error:
        raise Failed("download", None, ["%s: %s" % (type(error).__name__, error)]) from error
    command = document.get("command") or []
    if not command:
        return
    say("running %s" % command[0])
    try:
        run(command, begins)
    except OSError as error:
        raise Failed("command", None, ["%s: %s" % (command[0], error)]) from error


def bootstrap(config, context):
    # Asked for again before each attempt: the token in the document lives for minutes only.
    before = None
    for attempt in range(1, ATTEMPTS + 1):
        document = ask(config, context, "/v1/first-boot", LIMIT)
        try:
            carry_out(
                json.loads(document),
                lambda stage: begin(config, context, stage),
                lambda entry: download(config, context, entry),
            )
            return
        except Failed as failed:
            say("%s, exit status %s, attempt %d of %d" % (failed, failed.status, attempt, ATTEMPTS))
            never_again = failed.status == NEVER_AGAIN
            if never_again and before:
                # Why it is not repeated explains nothing; why it failed does.
                failed = Failed(before.stage, before.status, failed.lines + before.lines)
            if never_again or attempt == ATTEMPTS:
                report(config, context, failed)
                raise failed
            before = failed
        time.sleep(PAUSE * 2 ** (attempt - 1))


def erase(name):
    try:
        size = os.path.getsize(path(name))
        with open(path(name), "r+b") as stream:
            stream.write(b"\0" * size)
            stream.flush()
            os.fsync(stream.fileno())
        os.remove(path(name))
    except FileNotFoundError:
        pass


def main():
    if os.path.exists(path("done")) or not os.path.exists(path("key.pem")):
        return 0
    with open(path("first-boot.json"), encoding="utf-8") as stream:
        config = json.load(stream)
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=path("ca.pem"))
    # Newer Pythons also ask for extensions that say nothing about trust.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path("certificate.pem"), path("key.pem"))
    if not os.path.exists(path("ran")):
        bootstrap(config, context)
        mark("ran")
    try:
        ask(config, context, "/v1/first-boot/done", 600)
    except Refused as refused:
        # It was told before, and the answer was lost; or the key has ended meanwhile. Either way it is of no more use.
        say(str(refused))
    erase("key.pem")
    erase("certificate.pem")
    mark("done")
    say("done")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError, Failed, Refused) as error:
        say("%s: %s" % (type(error).__name__, error))
        sys.exit(1)
