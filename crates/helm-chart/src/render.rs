//! Rendering a chart: merged and checked values in, objects out.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use crate::chart::Chart;
use crate::engine::{Execution, Templates};
use crate::error::Error;
use crate::failure::Failure;
use crate::manifests::{self, Rendered};
use crate::merge::merged;
use crate::value::{Object, Value};
use crate::version::{Version, satisfies};

/// The most problems of values that an error names.
const PROBLEMS: usize = 8;

/// What the chart is rendered for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// Name of the release.
    pub name: String,
    /// Namespace of its objects.
    pub namespace: String,
    /// Version of the cluster's Kubernetes, such as `v1.35.4`.
    pub kube_version: String,
    /// Groups and versions that the cluster serves, and `group/version/Kind`, as `.Capabilities.APIVersions.Has` asks for
    /// them.
    pub api_versions: BTreeSet<String>,
    /// Whether the release is there and gets a new version.
    pub is_upgrade: bool,
}

impl Chart {
    /// The chart's values with the user's above them, as templates see them.
    ///
    /// # Errors
    /// The values do not fit the chart's schema, or those of a chart inside are no dict.
    pub fn merged_values(&self, user: &Map<String, Json>) -> Result<Map<String, Json>, Error> {
        let mut chart = self.clone();
        let values = merged(&mut chart, user.clone())?;
        check_values(&chart, &Json::Object(values.clone()))?;
        Ok(values)
    }

    /// The text of each template by its path; templates whose file begins with `_` are only called by others.
    ///
    /// # Errors
    /// The values are wrong, or a template fails.
    pub fn render_texts(
        &self,
        release: &Release,
        user: &Map<String, Json>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let version = Version::parse(&release.kube_version).map_err(|message| Error::Archive { message })?;
        self.check_version(&version)?;
        let mut chart = self.clone();
        let values = merged(&mut chart, user.clone())?;
        check_values(&chart, &Json::Object(values.clone()))?;
        let shared = Shared::new(release, version);
        let mut found = Vec::new();
        collect(
            &chart,
            &shared,
            (chart.name(), true),
            Value::from_json(&Json::Object(values)),
            &mut found,
        );
        // Helm's order: the deepest first. Values change in place, so it can be seen.
        found.sort_by_key(|template| {
            std::cmp::Reverse((template.path.matches('/').count(), template.path.clone()))
        });
        let mut templates = Templates::default();
        for template in &found {
            templates.add(&template.path, template.text)?;
        }
        let execution = Execution::new(templates);
        let mut rendered = BTreeMap::new();
        for template in &found {
            let file = template.path.rsplit('/').next().unwrap_or_default();
            if file.starts_with('_') {
                continue;
            }
            template.announce();
            let text = execution.run_file(&template.path, &template.data);
            let text = text.map_err(|failure| match failure {
                Failure::Inner(fault) => fault.into(),
                Failure::Message(message) => Error::Template {
                    template: template.path.clone(),
                    line: 1,
                    message,
                },
            })?;
            rendered.insert(template.path.clone(), text);
        }
        Ok(rendered)
    }

    /// The chart's objects.
    ///
    /// # Errors
    /// The values are wrong, a template fails, or what it gives is no object.
    pub fn render(&self, release: &Release, user: &Map<String, Json>) -> Result<Rendered, Error> {
        let texts = self.render_texts(release, user)?;
        let mut rendered = manifests::objects(&texts)?;
        let mut crds = BTreeMap::new();
        self.collect_crds(self.name(), &mut crds);
        let crds = manifests::objects(&crds)?.objects;
        rendered.objects.splice(0..0, crds);
        Ok(rendered)
    }

    fn collect_crds(&self, path: &str, into: &mut BTreeMap<String, String>) {
        let own = self.crds.iter();
        into.extend(own.map(|(name, text)| (format!("{path}/{name}"), text.clone())));
        for inner in &self.subcharts {
            inner.collect_crds(&format!("{path}/charts/{}", inner.name()), into);
        }
    }

    fn check_version(&self, version: &Version) -> Result<(), Error> {
        let constraint = &self.metadata.kube_version;
        if constraint.is_empty() {
            return Ok(());
        }
        let fits = satisfies(constraint, version).map_err(|message| Error::File {
            chart: self.metadata.name.clone(),
            file: "Chart.yaml".to_owned(),
            message: format!("kubeVersion: {message}"),
        })?;
        if !fits {
            return Err(Error::KubeVersion {
                chart: format!("{} {}", self.metadata.name, self.metadata.version),
                constraint: constraint.clone(),
                version: format!("v{version}"),
            });
        }
        Ok(())
    }
}

/// What all templates of a release see.
struct Shared {
    release: Value,
    capabilities: Value,
}

impl Shared {
    fn new(release: &Release, version: Version) -> Self {
        let named = |entries: Vec<(&str, Value)>| {
            Value::map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)))
        };
        Self {
            release: named(vec![
                ("Name", Value::text(&release.name)),
                ("Namespace", Value::text(&release.namespace)),
                ("Service", Value::text("Helm")),
                ("Revision", Value::Int(1)),
                ("IsInstall", Value::Bool(!release.is_upgrade)),
                ("IsUpgrade", Value::Bool(release.is_upgrade)),
            ]),
            capabilities: named(vec![
                ("KubeVersion", Value::object(Object::KubeVersion(version))),
                (
                    "APIVersions",
                    Value::object(Object::ApiVersions(release.api_versions.clone())),
                ),
            ]),
        }
    }
}

/// A template and what it sees.
struct Renderable<'a> {
    path: String,
    /// Folder of the chart's templates.
    base: String,
    text: &'a str,
    data: Value,
}

impl Renderable<'_> {
    /// Sets `.Template`, which every template of a chart sees in one place.
    fn announce(&self) {
        if let Value::Map(data) = &self.data {
            let template = Value::map([
                ("Name".to_owned(), Value::text(&self.path)),
                ("BasePath".to_owned(), Value::text(&self.base)),
            ]);
            data.borrow_mut().insert("Template".to_owned(), template);
        }
    }
}

/// Gathers the templates of a chart and of those inside; gives what the chart's own templates see.
fn collect<'a>(
    chart: &'a Chart,
    shared: &Shared,
    (path, is_root): (&str, bool),
    values: Value,
    into: &mut Vec<Renderable<'a>>,
) -> Value {
    let mut subcharts = Vec::new();
    for inner in &chart.subcharts {
        let own = match &values {
            Value::Map(values) => values.borrow().get(inner.name()).cloned(),
            _ => None,
        };
        let path = format!("{path}/charts/{}", inner.name());
        let own = own.unwrap_or_else(|| Value::map([]));
        let seen = collect(inner, shared, (&path, false), own, into);
        subcharts.push((inner.name().to_owned(), seen));
    }
    let data = Value::map(
        [
            ("Chart", about(chart, is_root)),
            (
                "Files",
                Value::object(Object::Files(Rc::new(chart.files.clone()))),
            ),
            ("Release", shared.release.clone()),
            ("Capabilities", shared.capabilities.clone()),
            ("Values", values),
            ("Subcharts", Value::map(subcharts)),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    for (name, text) in &chart.templates {
        into.push(Renderable {
            path: format!("{path}/{name}"),
            base: format!("{path}/templates"),
            text,
            data: data.clone(),
        });
    }
    data
}

fn about(chart: &Chart, is_root: bool) -> Value {
    let of = &chart.metadata;
    Value::map(
        [
            ("Name", Value::text(&of.name)),
            ("Version", Value::text(&of.version)),
            ("AppVersion", Value::text(&of.app_version)),
            ("APIVersion", Value::text(&of.api_version)),
            ("KubeVersion", Value::text(&of.kube_version)),
            ("Description", Value::text(&of.description)),
            ("Type", Value::text(&of.kind)),
            ("IsRoot", Value::Bool(is_root)),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    )
}

/// Checks values against the schemas of a chart and of those inside.
fn check_values(chart: &Chart, values: &Json) -> Result<(), Error> {
    let wrong = |message: String| Error::File {
        chart: chart.metadata.name.clone(),
        file: "values".to_owned(),
        message,
    };
    if let Some(schema) = &chart.schema {
        let checker = jsonschema::validator_for(schema).map_err(|error| Error::File {
            chart: chart.metadata.name.clone(),
            file: "values.schema.json".to_owned(),
            message: error.to_string(),
        })?;
        let problems: Vec<String> = checker
            .iter_errors(values)
            .take(PROBLEMS)
            .map(|error| {
                let path = error.instance_path().to_string();
                let path = path.trim_start_matches('/').replace('/', ".");
                format!("{path}: {error}")
            })
            .collect();
        if !problems.is_empty() {
            return Err(wrong(problems.join("; ")));
        }
    }
    for inner in &chart.subcharts {
        check_values(inner, values.get(inner.name()).unwrap_or(&Json::Null))?;
    }
    Ok(())
}
