#!/usr/bin/python3
# First boot of an installed node. Pulls its bootstrap document once over mutual TLS, writes the files, runs
# the command, says that it is done and erases its key. cloud-init starts it at every boot, so a reset in the middle
# is followed up; when done it does nothing.
# What it pulls is secret: only paths, sizes and exit codes are printed.
import base64
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
LIMIT = 2 * 3600
ATTEMPTS = 3


class Refused(Exception):
    pass


class Later(Exception):
    def __init__(self, why, seconds):
        super().__init__(why)
        self.seconds = seconds


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


def write(target, data, mode):
    directory = os.path.dirname(target)
    os.makedirs(directory, exist_ok=True)
    new = target + ".gantry-new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb", closefd=False) as stream:
            stream.write(data)
        os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(new, target)
    sync_directory(directory)


def mark(name):
    write(path(name), b"", 0o600)


class Connection(http.client.HTTPConnection):
    # The server is known by the site's name, not by its address.
    def __init__(self, host, port, context, name):
        super().__init__(host, port, timeout=90)
        self.context = context
        self.name = name

    def connect(self):
        raw = socket.create_connection((self.host, self.port), timeout=15)
        raw.settimeout(90)
        self.sock = self.context.wrap_socket(raw, server_hostname=self.name)


def post(config, context, endpoint, where):
    parts = urlsplit(endpoint)
    connection = Connection(parts.hostname, parts.port or 443, context, config["siteName"])
    try:
        connection.request("POST", where, body=b"", headers={"Content-Length": "0"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if 200 <= answer.status < 300:
        return body
    if answer.status in (401, 403, 410):
        raise Refused("the appliance refuses (HTTP %d)" % answer.status)
    try:
        seconds = int(answer.getheader("Retry-After") or "5")
    except ValueError:
        seconds = 5
    raise Later("not yet (HTTP %d)" % answer.status, min(max(seconds, 1), 60))


def ask(config, context, where, limit):
    end = time.monotonic() + limit
    pause = 1
    while True:
        for endpoint in config["endpoints"]:
            try:
                return post(config, context, endpoint, where)
            except Later as later:
                say("%s: %s" % (where, later))
                pause = later.seconds
            except (OSError, http.client.HTTPException) as error:
                say("%s: %s: %s" % (where, endpoint, error))
                pause = min(pause * 2, 30)
        if time.monotonic() > end:
            raise TimeoutError("no answer to %s within %d s" % (where, limit))
        time.sleep(pause)


def carry_out(document):
    for entry in document["files"]:
        target = entry["path"]
        if not os.path.isabs(target) or ".." in target.split("/"):
            raise ValueError("refusing to write " + target)
        data = base64.b64decode(entry["contentBase64"], validate=True)
        write(target, data, int(entry["mode"]) & 0o777)
        say("wrote %s (%d octets)" % (target, len(data)))
    command = document.get("command") or []
    if not command:
        return 0
    say("running %s" % command[0])
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode


def bootstrap(config, context):
    # Asked for again before each attempt: the token in the document lives for minutes only.
    for attempt in range(1, ATTEMPTS + 1):
        code = carry_out(json.loads(ask(config, context, "/v1/first-boot", LIMIT)))
        if code == 0:
            return
        say("exit code %d, attempt %d of %d" % (code, attempt, ATTEMPTS))
        if attempt < ATTEMPTS:
            time.sleep(10)
    raise RuntimeError("the command failed; it runs again at the next boot")


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
    except (OSError, ValueError, KeyError, RuntimeError, Refused) as error:
        say("%s: %s" % (type(error).__name__, error))
        sys.exit(1)
