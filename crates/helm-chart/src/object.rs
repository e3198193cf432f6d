//! What values with methods are asked for: the chart's files, the API versions and the Kubernetes version of the cluster, and
//! semantic versions.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::glob::matches;
use crate::value::{Files, Object, Value, content};

/// A field, or the result of a method; `None` where there is none of this name.
pub(crate) fn member(of: &Object, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let text = || args.first().map(Value::printed).unwrap_or_default();
    Some(match (of, name, args.len()) {
        (Object::Files(files), "Get", 1) => Ok(content(files, &text())),
        (Object::Files(files), "GetBytes", 1) => Ok(content(files, &text())),
        (Object::Files(files), "Glob", 1) => glob(files, &text()),
        (Object::Files(files), "Lines", 1) => Ok(lines(files, &text())),
        (Object::Files(files), "AsConfig", 0) => Ok(as_config(files)),
        (Object::Files(files), "AsSecrets", 0) => Ok(as_secrets(files)),
        (Object::ApiVersions(known), "Has", 1) => Ok(Value::Bool(known.contains(&text()))),
        (Object::KubeVersion(version), "Version" | "GitVersion" | "String", 0) => {
            Ok(Value::text(format!("v{version}")))
        }
        (Object::KubeVersion(version), "Major", 0) => Ok(Value::text(version.major.to_string())),
        (Object::KubeVersion(version), "Minor", 0) => Ok(Value::text(version.minor.to_string())),
        (Object::Version(version), "Major", 0) => Ok(number(version.major)),
        (Object::Version(version), "Minor", 0) => Ok(number(version.minor)),
        (Object::Version(version), "Patch", 0) => Ok(number(version.patch)),
        (Object::Version(version), "Prerelease", 0) => Ok(Value::text(&version.pre)),
        (Object::Version(version), "Metadata", 0) => Ok(Value::text(&version.build)),
        (Object::Version(version), "Original" | "String", 0) => Ok(Value::text(version.to_string())),
        (Object::Certificate { cert, .. }, "Cert", 0) => Ok(Value::text(cert)),
        (Object::Certificate { key, .. }, "Key", 0) => Ok(Value::text(key)),
        _ => return None,
    })
}

/// What `range` goes over; `None` where it cannot.
pub(crate) fn entries(of: &Object) -> Option<Vec<(Value, Value)>> {
    match of {
        Object::Files(files) => Some(
            files
                .keys()
                .map(|path| (Value::text(path), content(files, path)))
                .collect(),
        ),
        Object::ApiVersions(known) => {
            let known = known.iter().map(Value::text).enumerate();
            Some(known.map(|(at, version)| (index(at), version)).collect())
        }
        _ => None,
    }
}

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn index(at: usize) -> Value {
    Value::Int(i64::try_from(at).unwrap_or(i64::MAX))
}

fn glob(files: &Files, pattern: &str) -> Result<Value, String> {
    let mut found = Files::new();
    for (path, bytes) in files {
        if matches(pattern, path)? {
            found.insert(path.clone(), bytes.clone());
        }
    }
    Ok(Value::object(Object::Files(Rc::new(found))))
}

fn lines(files: &Files, path: &str) -> Value {
    let text = content(files, path).printed();
    if text.is_empty() {
        return Value::list([]);
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Value::list(text.split('\n').map(Value::text))
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn as_config(files: &Files) -> Value {
    let entries = files.keys();
    let entries: Json = Json::Object(
        entries
            .map(|path| (base_name(path), content(files, path).to_json()))
            .collect(),
    );
    Value::text(crate::yaml::write(&entries).trim_end_matches('\n'))
}

fn as_secrets(files: &Files) -> Value {
    let entries = files.iter();
    let entries: Json = Json::Object(
        entries
            .map(|(path, bytes)| (base_name(path), Json::String(STANDARD.encode(bytes))))
            .collect(),
    );
    Value::text(crate::yaml::write(&entries).trim_end_matches('\n'))
}
