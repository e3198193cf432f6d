//! A chart: its metadata, values, templates, other files, and the charts inside of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::archive;
use crate::error::Error;
use crate::value::Files;
use crate::yaml;

/// A chart as its archive has it.
#[derive(Debug, Clone)]
pub struct Chart {
    pub(crate) metadata: Metadata,
    pub(crate) values: Map<String, Json>,
    /// What the values must be like.
    pub(crate) schema: Option<Json>,
    /// Templates by path.
    pub(crate) templates: BTreeMap<String, String>,
    /// Files that are neither templates nor the chart's own.
    pub(crate) files: Files,
    /// Objects of `crds/`, which are applied before all others.
    pub(crate) crds: BTreeMap<String, String>,
    pub(crate) subcharts: Vec<Chart>,
}

/// Chart.yaml.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) api_version: String,
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) app_version: String,
    #[serde(default)]
    pub(crate) kube_version: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) dependencies: Vec<Dependency>,
}

/// A chart that Chart.yaml names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dependency {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) condition: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) alias: String,
    #[serde(default, rename = "import-values")]
    pub(crate) import_values: Vec<Json>,
}

impl Chart {
    /// Reads a chart from its `.tgz`.
    ///
    /// # Errors
    /// The archive or a file in it is not what a chart has, or is too large.
    pub fn from_archive(archive: &[u8]) -> Result<Self, Error> {
        Self::from_files(archive::files(archive)?)
    }

    /// A chart of files by their path below its folder.
    ///
    /// # Errors
    /// A file is not what its name says.
    pub fn from_files(mut files: BTreeMap<String, Vec<u8>>) -> Result<Self, Error> {
        let text = files.remove("Chart.yaml").ok_or_else(|| Error::Archive {
            message: "there is no Chart.yaml in it".to_owned(),
        })?;
        let metadata = metadata(&text)?;
        let values = match files.remove("values.yaml") {
            Some(text) => values(&metadata.name, &text)?,
            None => Map::new(),
        };
        let schema = match files.remove("values.schema.json") {
            Some(text) => Some(schema(&metadata.name, &text)?),
            None => None,
        };
        let mut chart = Self {
            metadata,
            values,
            schema,
            templates: BTreeMap::new(),
            files: Files::new(),
            crds: BTreeMap::new(),
            subcharts: Vec::new(),
        };
        let mut inner: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
        for (path, bytes) in files {
            if let Some((name, rest)) = path.strip_prefix("charts/").and_then(|rest| rest.split_once('/')) {
                let chart = inner.entry(name.to_owned()).or_default();
                chart.insert(rest.to_owned(), bytes);
            } else {
                chart.add(path, bytes)?;
            }
        }
        for (folder, files) in inner {
            // A name that starts so is left out, as Helm does.
            if !folder.starts_with(['_', '.']) {
                chart.subcharts.push(Self::from_files(files)?);
            }
        }
        chart.apply_dependencies()?;
        Ok(chart)
    }

    fn add(&mut self, path: String, bytes: Vec<u8>) -> Result<(), Error> {
        if path.starts_with("charts/") {
            if path.ends_with(".tgz") {
                self.subcharts.push(Self::from_archive(&bytes)?);
            }
        } else if path.starts_with("templates/") {
            let text = self.text(&path, bytes)?;
            self.templates.insert(path, text);
        } else if path.starts_with("crds/") {
            let text = self.text(&path, bytes)?;
            self.crds.insert(path, text);
        } else if !matches!(path.as_str(), "Chart.lock" | ".helmignore") {
            self.files.insert(path, bytes);
        }
        Ok(())
    }

    fn text(&self, path: &str, bytes: Vec<u8>) -> Result<String, Error> {
        String::from_utf8(bytes).map_err(|_| self.wrong(path, "it is no text"))
    }

    fn wrong(&self, file: &str, message: impl Into<String>) -> Error {
        Error::File {
            chart: self.metadata.name.clone(),
            file: file.to_owned(),
            message: message.into(),
        }
    }

    /// What Chart.yaml says of the charts inside: their other names, and what cannot be carried out.
    fn apply_dependencies(&mut self) -> Result<(), Error> {
        for dependency in self.metadata.dependencies.clone() {
            if !dependency.import_values.is_empty() {
                return Err(self.wrong(
                    "Chart.yaml",
                    format!("dependency {}: import-values is not supported", dependency.name),
                ));
            }
            let known = self
                .subcharts
                .iter_mut()
                .find(|chart| chart.metadata.name == dependency.name);
            let Some(chart) = known else {
                return Err(self.wrong(
                    "Chart.yaml",
                    format!(
                        "dependency {} is not in charts/; package the chart with its dependencies",
                        dependency.name
                    ),
                ));
            };
            if !dependency.alias.is_empty() {
                chart.metadata.name.clone_from(&dependency.alias);
            }
        }
        Ok(())
    }

    /// Name of the chart.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Version of the chart.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    /// The values that the chart has without those of a user.
    #[must_use]
    pub const fn values(&self) -> &Map<String, Json> {
        &self.values
    }
}

fn metadata(text: &[u8]) -> Result<Metadata, Error> {
    let wrong = |message: String| Error::File {
        chart: "of the archive".to_owned(),
        file: "Chart.yaml".to_owned(),
        message,
    };
    let read = yaml::read(&String::from_utf8_lossy(text));
    let read = read.map_err(|fault| wrong(format!("line {}: {}", fault.line, fault.message)))?;
    let metadata: Metadata = serde_json::from_value(read).map_err(|error| wrong(error.to_string()))?;
    match metadata.api_version.as_str() {
        "v1" | "v2" => {}
        other => {
            return Err(wrong(format!(
                "apiVersion {other:?} is not known; Helm has v1 and v2"
            )));
        }
    }
    if metadata.kind == "library" {
        return Err(wrong("a library chart has no objects".to_owned()));
    }
    Ok(metadata)
}

fn values(chart: &str, text: &[u8]) -> Result<Map<String, Json>, Error> {
    let wrong = |message: String| Error::File {
        chart: chart.to_owned(),
        file: "values.yaml".to_owned(),
        message,
    };
    let read = yaml::read(&String::from_utf8_lossy(text));
    match read.map_err(|fault| wrong(format!("line {}: {}", fault.line, fault.message)))? {
        Json::Object(values) => Ok(values),
        Json::Null => Ok(Map::new()),
        _ => Err(wrong("it is no dict".to_owned())),
    }
}

fn schema(chart: &str, text: &[u8]) -> Result<Json, Error> {
    serde_json::from_slice(text).map_err(|error| Error::File {
        chart: chart.to_owned(),
        file: "values.schema.json".to_owned(),
        message: error.to_string(),
    })
}
