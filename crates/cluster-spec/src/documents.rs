//! From text to a bundle: documents by kind, each against its schema, then defaults and rules; all problems with places.

use std::collections::BTreeMap;
use std::collections::HashMap;

use kube::{CustomResourceExt, ResourceExt};
use resources::anywhere::{
    Cluster, DockerDatacenterConfig, OidcConfig, TinkerbellDatacenterConfig, TinkerbellMachineConfig,
    TinkerbellTemplateConfig, VSphereDatacenterConfig, VSphereMachineConfig,
};
use resources::gantry::Release;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bundle::{AWS_IAM, ClusterBundle, OIDC};
use crate::defaults::with_defaults;
use crate::node::{self, Node, Place};
use crate::problem::{Problem, Problems};
use crate::rules::validate;
use crate::schema::Walk;
use crate::secrets;
use crate::violation::Violation;
use crate::virtual_site::{VSphereSite, VirtualSite};

const GROUP_VERSION: &str = "anywhere.eks.amazonaws.com/v1alpha1";
/// Kinds that EKS Anywhere's files hold, and that decide nothing here.
const WITHOUT_EFFECT: [&str; 3] = [AWS_IAM, "FluxConfig", "GitOpsConfig"];
/// How the kinds begin of providers whose drivers do not exist, and the names of those.
const WITHOUT_DRIVER: [(&str, &str); 3] = [
    ("Nutanix", "nutanix"),
    ("CloudStack", "cloudstack"),
    ("Snow", "snow"),
];
/// How the kinds begin of providers of machines, besides Cluster's own.
const PROVIDERS: [&str; 3] = ["Tinkerbell", "VSphere", "Docker"];

/// Reads, defaults and checks a file. `releases` are those that the appliance knows.
///
/// # Errors
/// All problems of the file.
pub fn parse(text: &str, file: &str, releases: &[Release]) -> Result<ClusterBundle, Problems> {
    let (nodes, problems) = node::documents(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reader = Reader {
        problems,
        ..Reader::default()
    };
    for node in &nodes {
        reader.document(node);
    }
    if nodes.is_empty() && reader.problems.is_empty() {
        reader.problem_at(
            None,
            String::new(),
            "the file holds no document",
            "write a Cluster",
        );
    }
    let bundle = reader.bundle();
    if let Some(bundle) = &bundle {
        for violation in validate(bundle, releases) {
            reader.violation(violation);
        }
    }
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| (problem.line, problem.column));
    match bundle {
        Some(bundle) if problems.is_empty() => Ok(bundle),
        _ => Err(Problems {
            file: file.to_owned(),
            text: text.to_owned(),
            problems,
        }),
    }
}

/// What is known of one document's places.
struct Document {
    kind: &'static str,
    name: String,
    start: Place,
    places: HashMap<String, Place>,
    faulty: Vec<String>,
}

#[derive(Default)]
struct Reader {
    clusters: Vec<Cluster>,
    datacenters: Vec<TinkerbellDatacenterConfig>,
    machine_configs: Vec<TinkerbellMachineConfig>,
    templates: Vec<TinkerbellTemplateConfig>,
    oidc_configs: Vec<OidcConfig>,
    docker_datacenters: Vec<DockerDatacenterConfig>,
    vsphere_datacenters: Vec<VSphereDatacenterConfig>,
    vsphere_machine_configs: Vec<VSphereMachineConfig>,
    documents: Vec<Document>,
    problems: Vec<Problem>,
}

impl Reader {
    fn problem_at(&mut self, place: Option<Place>, field: String, message: &str, next_step: &str) {
        let place = place.unwrap_or(Place {
            line: 1,
            column: 1,
            width: 1,
        });
        self.problems.push(Problem {
            line: place.line,
            column: place.column,
            width: place.width,
            place: field,
            message: message.to_owned(),
            next_step: next_step.to_owned(),
        });
    }

    fn document(&mut self, node: &Node) {
        let version = node.get("apiVersion").and_then(Node::text).unwrap_or_default();
        let Some(kind) = node.get("kind").and_then(Node::text) else {
            return self.problem_at(
                Some(node.place),
                String::new(),
                "the document has no kind",
                "add apiVersion and kind",
            );
        };
        if secrets::is_secret(node) {
            return self.secret(node);
        }
        if (version, kind) == ("v1", "Namespace") {
            // That of the cluster is there as soon as something is in it.
            return;
        }
        if version == GROUP_VERSION && WITHOUT_EFFECT.contains(&kind) {
            // The fields that name them are remarked on.
            return;
        }
        if version != GROUP_VERSION {
            let place = node.get("apiVersion").map_or(node.place, |node| node.place);
            let message = format!("apiVersion {version:?} of {kind} does not belong in a cluster file");
            let next_step = format!("write {GROUP_VERSION}, or apply the object with kubectl");
            return self.problem_at(Some(place), "apiVersion".to_owned(), &message, &next_step);
        }
        match kind {
            "Cluster" => {
                let found = self.typed::<Cluster>("Cluster", node);
                self.clusters.extend(found);
            }
            "TinkerbellDatacenterConfig" => {
                let found = self.typed::<TinkerbellDatacenterConfig>("TinkerbellDatacenterConfig", node);
                self.datacenters.extend(found);
            }
            "TinkerbellMachineConfig" => {
                let found = self.typed::<TinkerbellMachineConfig>("TinkerbellMachineConfig", node);
                self.machine_configs.extend(found);
            }
            "TinkerbellTemplateConfig" => {
                let found = self.typed::<TinkerbellTemplateConfig>("TinkerbellTemplateConfig", node);
                self.templates.extend(found);
            }
            OIDC => {
                let found = self.typed::<OidcConfig>(OIDC, node);
                self.oidc_configs.extend(found);
            }
            "DockerDatacenterConfig" => {
                let found = self.typed::<DockerDatacenterConfig>("DockerDatacenterConfig", node);
                self.docker_datacenters.extend(found);
            }
            "VSphereDatacenterConfig" => {
                let found = self.typed::<VSphereDatacenterConfig>("VSphereDatacenterConfig", node);
                self.vsphere_datacenters.extend(found);
            }
            "VSphereMachineConfig" => {
                let found = self.typed::<VSphereMachineConfig>("VSphereMachineConfig", node);
                self.vsphere_machine_configs.extend(found);
            }
            other => self.unknown_kind(node, other),
        }
    }

    fn unknown_kind(&mut self, node: &Node, kind: &str) {
        let place = node.get("kind").map_or(node.place, |node| node.place);
        let (message, next_step) = match WITHOUT_DRIVER.iter().find(|(prefix, _)| kind.starts_with(prefix)) {
            Some((_, driver)) => (
                format!("kind {kind} needs driver {driver}, and there is none of that name"),
                "make the cluster on bare metal, in a vCenter (driver vsphere) or with a Docker daemon (driver docker)",
            ),
            None => (
                format!("kind {kind} is not carried out by this version"),
                "use Cluster, OIDCConfig, and the kinds of one provider: TinkerbellDatacenterConfig, TinkerbellMachineConfig and \
                 TinkerbellTemplateConfig, VSphereDatacenterConfig and VSphereMachineConfig, or DockerDatacenterConfig",
            ),
        };
        self.problem_at(Some(place), "kind".to_owned(), &message, next_step);
    }

    /// A Secret is applied as it is.
    fn secret(&mut self, node: &Node) {
        let name = name_of(node);
        let (secret, walk) = secrets::read(node);
        for (path, place, message, next_step) in walk.faults {
            self.problem_at(Some(place), field("Secret", name, &path), &message, &next_step);
        }
        if secret.is_none() && self.problems.is_empty() {
            let message = "a value of data is not in base64";
            self.problem_at(
                Some(node.place),
                field("Secret", name, "data"),
                message,
                "write it in base64, or as it is under stringData",
            );
        }
    }

    /// Walks one document and reads what is left of it.
    fn typed<T: DeserializeOwned + CustomResourceExt>(
        &mut self,
        kind: &'static str,
        node: &Node,
    ) -> Option<T> {
        let mut walk = Walk::default();
        let mut schema = document_schema::<T>();
        if kind == "TinkerbellTemplateConfig" {
            schema["properties"]["spec"]["properties"]["template"] = workflow_schema();
        }
        let value = walk.node(node, &schema, "");
        let name = name_of(node);
        let faulty = walk.faults.iter().map(|(path, ..)| path.clone()).collect();
        for (path, place, message, next_step) in walk.faults {
            self.problem_at(Some(place), field(kind, name, &path), &message, &next_step);
        }
        if self
            .documents
            .iter()
            .any(|known| known.kind == kind && known.name == name)
        {
            let message = format!("a {kind} named {name:?} stands in the file twice");
            self.problem_at(
                Some(node.place),
                field(kind, name, "metadata.name"),
                &message,
                "keep one of the two",
            );
        }
        self.documents.push(Document {
            kind,
            name: name.to_owned(),
            start: node.place,
            places: walk.places.into_iter().collect(),
            faulty,
        });
        match serde_json::from_value(value?) {
            Ok(object) => Some(object),
            Err(error) => {
                // What the walk found explains it; anything else must still be told.
                if self.problems.is_empty() {
                    self.problem_at(
                        Some(node.place),
                        field(kind, name, ""),
                        &error.to_string(),
                        "fix the value",
                    );
                }
                None
            }
        }
    }

    /// A rule's finding, unless the field, or what it lies in, is already reported.
    fn violation(&mut self, violation: Violation) {
        let Violation {
            kind,
            name,
            path,
            message,
            next_step,
        } = violation;
        let document = self
            .documents
            .iter()
            .find(|document| document.kind == kind && document.name == name);
        let related =
            |faulty: &String| path.starts_with(faulty.as_str()) || faulty.starts_with(path.as_str());
        if document.is_some_and(|document| document.faulty.iter().any(related)) {
            return;
        }
        let place = document.map(|document| nearest(document, &path));
        self.problem_at(place, field(kind, &name, &path), &message, &next_step);
    }

    fn single(&mut self, count: usize, kind: &'static str) {
        if count == 1 || !self.problems.is_empty() {
            return;
        }
        let place = self
            .documents
            .iter()
            .rfind(|document| document.kind == kind)
            .map(|document| document.start);
        let message = format!("the file holds {count} documents of kind {kind}");
        self.problem_at(
            place,
            String::new(),
            &message,
            "a file describes one cluster, with exactly one of this kind",
        );
    }

    /// Puts the documents together; problems of what is missing or too much are recorded.
    fn bundle(&mut self) -> Option<ClusterBundle> {
        self.single(self.clusters.len(), "Cluster");
        let cluster = self.clusters.first()?.clone();
        let site = &cluster.spec.datacenter_ref;
        let (datacenter, virtual_site) = match site.kind.as_str() {
            "DockerDatacenterConfig" => {
                self.single(self.docker_datacenters.len(), "DockerDatacenterConfig");
                let datacenter = self.docker_datacenters.first()?.clone();
                (None, Some(VirtualSite::Docker(Box::new(datacenter))))
            }
            "VSphereDatacenterConfig" => {
                self.single(self.vsphere_datacenters.len(), "VSphereDatacenterConfig");
                let site = VSphereSite {
                    datacenter: self.vsphere_datacenters.first()?.clone(),
                    machine_configs: by_name(&self.vsphere_machine_configs),
                };
                (None, Some(VirtualSite::VSphere(Box::new(site))))
            }
            _ => {
                self.single(self.datacenters.len(), "TinkerbellDatacenterConfig");
                (Some(self.datacenters.first()?.clone()), None)
            }
        };
        let provider = virtual_site
            .as_ref()
            .map_or("TinkerbellDatacenterConfig", VirtualSite::datacenter_kind);
        self.of_other_providers(provider);
        let bundle = ClusterBundle {
            datacenter: datacenter
                .unwrap_or_else(|| TinkerbellDatacenterConfig::new(&site.name, Default::default())),
            machine_configs: by_name(&self.machine_configs),
            templates: by_name(&self.templates),
            oidc_configs: by_name(&self.oidc_configs),
            virtual_site,
            cluster,
        };
        Some(with_defaults(bundle))
    }

    /// Documents of other providers than that of the Cluster's datacenter would have no effect.
    fn of_other_providers(&mut self, datacenter: &str) {
        let others = PROVIDERS.iter().filter(|prefix| !datacenter.starts_with(*prefix));
        let others: Vec<&str> = others.copied().collect();
        let is_other = |document: &&Document| others.iter().any(|prefix| document.kind.starts_with(prefix));
        let found = self.documents.iter().filter(is_other);
        let found: Vec<_> = found
            .map(|document| (document.start, document.kind, document.name.clone()))
            .collect();
        for (start, kind, name) in found {
            let message = format!("{kind} has no place in a cluster whose datacenter is a {datacenter}");
            let next_step = "remove the document, or name a datacenter of its provider in spec.datacenterRef";
            self.problem_at(Some(start), field(kind, &name, ""), &message, next_step);
        }
    }
}

fn name_of(node: &Node) -> &str {
    let meta = node.get("metadata");
    let name = meta.and_then(|meta| meta.get("name")).and_then(Node::text);
    name.unwrap_or_default()
}

fn by_name<T: ResourceExt + Clone>(objects: &[T]) -> BTreeMap<String, T> {
    objects
        .iter()
        .map(|object| (object.name_any(), object.clone()))
        .collect()
}

fn field(kind: &str, name: &str, path: &str) -> String {
    let separator = if path.is_empty() { "" } else { ": " };
    format!("{kind} {name}{separator}{path}")
}

/// The place of a field, else of the nearest thing around it.
fn nearest(document: &Document, path: &str) -> Place {
    let mut path = path;
    loop {
        if let Some(place) = document.places.get(path) {
            return *place;
        }
        match path.rfind(['.', '[']) {
            Some(at) => path = &path[..at],
            None => return document.start,
        }
    }
}

/// What of a workflow is text however it is written: a mode 0600 is no number, and a switch `true` no truth value. The API
/// takes it as it comes.
fn workflow_schema() -> Value {
    let environment = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let open = |properties: Value| json!({ "type": "object", "properties": properties, "x-kubernetes-preserve-unknown-fields": true });
    let list = |items: Value| json!({ "type": "array", "items": items });
    let version = json!({ "type": "string" });
    let action = open(json!({ "environment": environment }));
    let task = open(json!({ "environment": environment, "actions": list(action) }));
    open(json!({ "version": version, "tasks": list(task) }))
}

/// The schema of a whole document: the kind's own with Kubernetes' fixed fields.
fn document_schema<T: CustomResourceExt>() -> Value {
    let spec = T::crd()
        .spec
        .versions
        .into_iter()
        .find_map(|version| version.schema.and_then(|schema| schema.open_api_v3_schema))
        .and_then(|schema| serde_json::to_value(schema).ok())
        .and_then(|schema| schema.pointer("/properties/spec").cloned())
        .unwrap_or_default();
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "object", "additionalProperties": text });
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let opens = json!({ "type": "array", "items": open });
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": text,
            "kind": text,
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": text, "namespace": text, "labels": texts, "annotations": texts,
                    "finalizers": { "type": "array", "items": text }, "ownerReferences": opens, "managedFields": opens,
                    "creationTimestamp": text, "deletionTimestamp": text, "generation": { "type": "integer" },
                    "resourceVersion": text, "uid": text,
                },
            },
            "spec": spec,
            "status": open,
        },
    })
}
