//! Lines of a log without what looks like a secret: tokens, keys and passwords, by their forms. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands in place of a secret.
const REMOVED: &str = "[removed]";
/// How a private key in PEM begins (RFC 7468).
const KEY_BEGINS: (&str, &str) = ("-----BEGIN ", "PRIVATE KEY-----");
/// How any PEM block ends.
const ENDS: &str = "-----END ";

/// Secrets inside of a line. What the group `stays` matches is no part of them.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let forms = [
        // User and password of a URL.
        r"(?P<stays>\b[a-z][a-z0-9+.-]*://)[^/\s@]+@",
        // Header of HTTP.
        r"(?i)(?P<stays>\b(?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{8,}",
        // Setting or field whose name says what it holds.
        r#"(?ix)(?P<stays>
            (?:pass(?:word|wd|phrase)|token|secret|key-data|(?:private|certificate|encryption|api)[-_\ ]?key)
            ["']?\s*[:=]\s*)
            (?:"[^"]*"|'[^']*'|[^\s"',}]+)"#,
        // Flag with a value, such as `--token x`.
        r"(?i)(?P<stays>--[a-z-]*(?:password|token|secret|key)\s+)[^\s-]\S*",
        // Bootstrap token of kubeadm.
        r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b",
        // JSON web token (RFC 7519).
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?",
        // 32 bytes in hex, such as a certificate key of kubeadm; a digest says what it is.
        r"(?P<stays>\bsha256:[0-9a-f]{64}\b)|\b[0-9a-fA-F]{64}\b",
        // Base64 of a line of PEM, or of more than one.
        r"^\s*[A-Za-z0-9+/]{40,}={0,2}\s*$",
        r"[A-Za-z0-9+/]{80,}={0,2}",
    ];
    forms
        .into_iter()
        .filter_map(|form| Regex::new(form).ok())
        .collect()
});

/// The lines, with `[removed]` in the place of each secret. A private key of several lines becomes one line.
pub fn without_secrets<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut inside = false;
    let mut kept = Vec::new();
    for line in lines {
        if inside {
            inside = !line.contains(ENDS);
            continue;
        }
        let key = line
            .find(KEY_BEGINS.0)
            .filter(|at| line.get(*at..).is_some_and(|rest| rest.contains(KEY_BEGINS.1)));
        match key.and_then(|at| line.split_at_checked(at)) {
            Some((before, rest)) => {
                inside = !rest.contains(ENDS);
                kept.push(of_line(before) + REMOVED);
            }
            None => kept.push(of_line(line)),
        }
    }
    kept
}

fn of_line(line: &str) -> String {
    let mut line = Cow::Borrowed(line);
    for form in FORMS.iter() {
        let replaced = form.replace_all(&line, |found: &Captures<'_>| {
            let stays = found.name("stays").map_or("", |stays| stays.as_str());
            let whole = found.get(0).map_or("", |whole| whole.as_str());
            if stays == whole {
                stays.to_owned()
            } else {
                format!("{stays}{REMOVED}")
            }
        });
        if let Cow::Owned(replaced) = replaced {
            line = Cow::Owned(replaced);
        }
    }
    line.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        without_secrets(text.lines()).join("\n")
    }

    #[test]
    fn every_form_of_a_secret_is_removed() {
        let hex = "0123456789abcdef".repeat(4);
        let base64 = "QUJD".repeat(16);
        for (line, rest) in [
            (
                "join 192.0.2.10:6443 --token abcdef.0123456789abcdef".to_owned(),
                "join 192.0.2.10:6443 --token [removed]",
            ),
            (
                "token \"abcdef.0123456789abcdef\" is expired".into(),
                "token \"[removed]\" is expired",
            ),
            (format!("--certificate-key {hex}"), "--certificate-key [removed]"),
            (format!("key {hex}."), "key [removed]."),
            (
                "password: hunter2, user: a".into(),
                "password: [removed], user: a",
            ),
            (
                "{\"tlsBootstrapToken\": \"a b\"}".into(),
                "{\"tlsBootstrapToken\": [removed]}",
            ),
            ("client-key-data: QUJD".into(), "client-key-data: [removed]"),
            ("PASSWORD='x y' go".into(), "PASSWORD=[removed] go"),
            (
                "Authorization: Bearer abc.def-ghi".into(),
                "Authorization: Bearer [removed]",
            ),
            (
                "pull https://me:pw@registry.example/x".into(),
                "pull https://[removed]registry.example/x",
            ),
            (
                "got eyJhbGciOiJSUzI1.eyJpc3MiOiJr.c2ln end".into(),
                "got [removed] end",
            ),
            (base64.clone(), "[removed]"),
            (format!("data {}==", base64.repeat(2)), "data [removed]"),
            (
                format!("a\n-----BEGIN RSA PRIVATE KEY-----\n{base64}\n-----END RSA PRIVATE KEY-----\nb"),
                "a\n[removed]\nb",
            ),
            (
                "key -----BEGIN EC PRIVATE KEY-----\\nQUJD\\n-----END EC PRIVATE KEY-----\nb".into(),
                "key [removed]\nb",
            ),
            (
                format!("{base64}\n-----END PRIVATE KEY-----\nb"),
                "[removed]\n-----END PRIVATE KEY-----\nb",
            ),
        ] {
            assert_eq!(cleaned(&line), rest, "{line}");
        }
        assert_eq!(FORMS.len(), 9, "each of them is a pattern");
    }

    #[test]
    fn what_explains_a_failure_stays() {
        let digest = format!(
            "image registry.k8s.io/pause@sha256:{}",
            "0123456789abcdef".repeat(4)
        );
        for line in [
            digest.as_str(),
            "[preflight] Running pre-flight checks",
            "error: error execution phase preflight: couldn't validate the identity of the API Server: failed to request the \
             cluster-info ConfigMap: Get \"https://192.0.2.10:6443/api/v1/namespaces/kube-public/configmaps/cluster-info\"",
            "\t[ERROR FileAvailable--etc-kubernetes-kubelet.conf]: /etc/kubernetes/kubelet.conf already exists",
            "kubelet: E1129 server.go:1234] \"command failed\" err=\"failed to load kubelet config file\"",
            "-----BEGIN CERTIFICATE-----",
            "wrote /var/lib/gantry/bootstrap/pki/ca.key",
        ] {
            assert_eq!(cleaned(line), line);
        }
    }
}
