//! Values as templates see them. Dicts are shared and change in place, as Go's maps do: `set` on `.Values` is seen by every
//! template after it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use gotmpl::Value as Plain;
use serde_json::{Number, Value as Json, json};

use crate::version::Version;

/// The entries of a dict.
pub(crate) type Map = BTreeMap<String, Value>;

/// A value of a template.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Rc<str>),
    List(Rc<Vec<Value>>),
    Map(Rc<RefCell<Map>>),
    /// A value with methods.
    Object(Rc<Object>),
}

impl Value {
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self::String(text.as_ref().into())
    }

    pub(crate) fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Map(Rc::new(RefCell::new(entries.into_iter().collect())))
    }

    pub(crate) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(Rc::new(items.into_iter().collect()))
    }

    pub(crate) fn object(object: Object) -> Self {
        Self::Object(Rc::new(object))
    }

    pub(crate) fn truthy(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.borrow().is_empty(),
            Self::Object(object) => object.truthy(),
        }
    }

    /// Go's kind, as `kindOf` names it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Object(_) => "struct",
        }
    }

    /// Go's type, as `typeOf` names it.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::List(_) => "[]interface {}".to_owned(),
            Self::Map(_) => "map[string]interface {}".to_owned(),
            Self::Object(object) => object.type_name().to_owned(),
            other => other.kind().to_owned(),
        }
    }

    /// As Helm reads YAML and JSON: every number is a float.
    pub(crate) fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => Self::Float(number.as_f64().unwrap_or_default()),
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json)),
            Json::Object(entries) => Self::map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::from_json(value))),
            ),
        }
    }

    /// As Go writes JSON: a float without fraction is a whole number.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Nil => Json::Null,
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Int(number) => Json::from(*number),
            Self::Float(number) => float(*number),
            Self::String(text) => Json::String(text.to_string()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(entries) => Json::Object(
                entries
                    .borrow()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
            Self::Object(object) => object.to_json(),
        }
    }

    /// A copy for functions that neither keep nor change what they get.
    pub(crate) fn to_plain(&self) -> Plain {
        match self {
            Self::Nil => Plain::Nil,
            Self::Bool(flag) => Plain::Bool(*flag),
            Self::Int(number) => Plain::Int(*number),
            Self::Float(number) => Plain::Float(*number),
            Self::String(text) => Plain::String((&**text).into()),
            Self::List(items) => Plain::List(items.iter().map(Self::to_plain).collect()),
            Self::Map(entries) => sprig::args::map(
                entries
                    .borrow()
                    .iter()
                    .map(|(key, value)| (key.as_str().into(), value.to_plain())),
            ),
            Self::Object(object) => Plain::String(object.to_string().into()),
        }
    }

    pub(crate) fn from_plain(plain: &Plain) -> Self {
        match plain {
            Plain::Nil | Plain::Function(_) => Self::Nil,
            Plain::Bool(flag) => Self::Bool(*flag),
            Plain::Int(number) => Self::Int(*number),
            Plain::Uint(number) => Self::Int(i64::try_from(*number).unwrap_or(i64::MAX)),
            Plain::Float(number) => Self::Float(*number),
            Plain::String(text) => Self::text(text),
            Plain::List(items) => Self::list(items.iter().map(Self::from_plain)),
            Plain::Map(entries) => Self::map(
                entries
                    .iter()
                    .map(|(key, value)| (key.to_string(), Self::from_plain(value))),
            ),
        }
    }

    /// A copy that shares nothing with this value.
    pub(crate) fn deep_copy(&self) -> Self {
        match self {
            Self::List(items) => Self::list(items.iter().map(Self::deep_copy)),
            Self::Map(entries) => Self::map(
                entries
                    .borrow()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.deep_copy())),
            ),
            other => other.clone(),
        }
    }

    /// As a text that a function takes; nothing is the empty text.
    pub(crate) fn printed(&self) -> String {
        match self {
            Self::Nil => String::new(),
            other => other.go_text(),
        }
    }

    /// As Go's `%v` prints it.
    pub(crate) fn go_text(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => sprig::args::go_float(*number),
            Self::String(text) => text.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::go_text).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Map(entries) => {
                let entries = entries.borrow();
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", value.go_text()));
                format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
            }
            Self::Object(object) => object.to_string(),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => Rc::ptr_eq(a, b) || *a.borrow() == *b.borrow(),
            (Self::Object(a), Self::Object(b)) => Rc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

/// The largest float that is written as a whole number.
const WHOLE: f64 = 9e15;

fn float(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() <= WHOLE {
        // Both bounds are far inside of i64.
        #[allow(clippy::cast_possible_truncation)]
        return Json::from(number as i64);
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

/// Files by their path in the chart.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, PartialEq)]
pub(crate) enum Object {
    /// `.Files`, or some of them.
    Files(Rc<Files>),
    /// `.Capabilities.APIVersions`.
    ApiVersions(BTreeSet<String>),
    /// `.Capabilities.KubeVersion`.
    KubeVersion(Version),
    /// What `semver` gives.
    Version(Version),
    /// What `now` and `dateModify` give: nanoseconds from the moment of rendering. It can be moved and compared; nothing prints
    /// it, because a chart renders to the same text on every day.
    Moment(i128),
    /// What `genCA` and its like give.
    Certificate { cert: String, key: String },
}

impl Object {
    pub(crate) fn truthy(&self) -> bool {
        match self {
            Self::Files(files) => !files.is_empty(),
            Self::ApiVersions(known) => !known.is_empty(),
            Self::KubeVersion(_) | Self::Version(_) | Self::Moment(_) | Self::Certificate { .. } => true,
        }
    }

    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Files(_) => "engine.files",
            Self::ApiVersions(_) => "chartutil.VersionSet",
            Self::KubeVersion(_) => "chartutil.KubeVersion",
            Self::Version(_) => "*semver.Version",
            Self::Moment(_) => "time.Time",
            Self::Certificate { .. } => "sprig.certificate",
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Files(files) => {
                let names = files.keys();
                Json::Object(
                    names
                        .map(|name| (name.clone(), content(files, name).to_json()))
                        .collect(),
                )
            }
            Self::ApiVersions(known) => json!(known),
            Self::KubeVersion(version) => json!({
                "Version": format!("v{version}"),
                "Major": version.major.to_string(),
                "Minor": version.minor.to_string(),
            }),
            Self::Version(version) => Json::String(version.to_string()),
            Self::Moment(_) => Json::Null,
            Self::Certificate { cert, key } => json!({ "Cert": cert, "Key": key }),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) => write!(out, "{} files", files.len()),
            Self::ApiVersions(known) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                write!(out, "[{}]", known.join(" "))
            }
            Self::KubeVersion(version) => write!(out, "v{version}"),
            Self::Version(version) => write!(out, "{version}"),
            Self::Moment(_) => out.write_str("a moment"),
            Self::Certificate { .. } => out.write_str("a certificate and its key"),
        }
    }
}

/// The text of a file; nothing where there is none.
pub(crate) fn content(files: &Files, path: &str) -> Value {
    let bytes = files.get(path).map(Vec::as_slice).unwrap_or_default();
    Value::text(String::from_utf8_lossy(bytes))
}
