//! Every field of every document: its change is carried out or refused by its name.

mod annotations;
mod creation;
mod holder;
mod page;
mod virtual_creation;

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use resources::anywhere::{
    Cluster, ObjectRef, OidcConfig, OidcConfigSpec, TinkerbellDatacenterConfig, TinkerbellMachineConfig,
    TinkerbellTemplateConfig,
};
use serde_json::{Value, json};

use super::fields::{
    ANNOTATIONS, CLUSTER, DATACENTER, Decision, MACHINE_CONFIG, OIDC_CONFIG, Row, TEMPLATE,
    VSPHERE_DATACENTER, VSPHERE_MACHINE_CONFIG,
};
use super::*;

/// The schema of `spec` in a CustomResourceDefinition.
fn schema<K: CustomResourceExt>() -> Value {
    let crd = serde_json::to_value(K::crd()).unwrap();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap()
        .clone()
}

/// Notes every field below `path` that no row covers, and the rows that were met.
fn walk(schema: &Value, path: &str, rows: &[Row], met: &mut BTreeSet<String>, bare: &mut Vec<String>) {
    if rows.iter().any(|(row, _)| *row == path) {
        met.insert(path.to_owned());
        return;
    }
    if let Some(items) = schema
        .get("items")
        .filter(|items| items.get("properties").is_some())
    {
        return walk(items, &format!("{path}[]"), rows, met, bare);
    }
    match schema.get("properties").and_then(Value::as_object) {
        Some(fields) => {
            for (name, field) in fields {
                walk(field, &format!("{path}.{name}"), rows, met, bare);
            }
        }
        None => bare.push(path.to_owned()),
    }
}

#[test]
fn every_field_of_the_schemas_has_a_decision_and_every_decision_a_field() {
    let kinds = [
        (schema::<Cluster>(), CLUSTER),
        (schema::<TinkerbellDatacenterConfig>(), DATACENTER),
        (schema::<TinkerbellMachineConfig>(), MACHINE_CONFIG),
        (schema::<TinkerbellTemplateConfig>(), TEMPLATE),
        (schema::<OidcConfig>(), OIDC_CONFIG),
    ];
    for (schema, rows) in kinds {
        check_rows(&schema, rows);
    }
}

/// Each field has a decision, and each decision a field.
fn check_rows(schema: &Value, rows: &[Row]) {
    let (mut met, mut bare) = (BTreeSet::new(), Vec::new());
    walk(schema, "spec", rows, &mut met, &mut bare);
    assert_eq!(bare, Vec::<String>::new(), "fields without a decision");
    let wanted: BTreeSet<String> = rows.iter().map(|(row, _)| (*row).to_owned()).collect();
    assert_eq!(met, wanted, "decisions about fields that do not exist");
}

/// A value of this schema; another `number` makes another value.
fn sample(schema: &Value, number: usize) -> Value {
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        return allowed[usize::from(number > 3)].clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => json!(format!("text-{number}")),
        Some("integer") => json!(number),
        Some("boolean") => json!(number > 3),
        Some("array") => json!([sample(&schema["items"], number)]),
        Some("object") => match (schema.get("properties"), schema.get("additionalProperties")) {
            (Some(fields), _) => {
                let fields = fields.as_object().unwrap().iter();
                fields
                    .map(|(name, field)| (name.clone(), sample(field, number)))
                    .collect::<Map<_, _>>()
                    .into()
            }
            (None, Some(values)) => json!({ "key": sample(values, number) }),
            (None, None) => json!({ "free": number }),
        },
        other => panic!("{other:?} in {schema}"),
    }
}

/// The field of a row in a spec, in the first item of a list, and its path as people read it.
fn field<'a>(spec: &'a mut Value, row: &str) -> (&'a mut Value, String) {
    let (mut place, mut path) = (spec, "spec".to_owned());
    for name in row.split('.').skip(1) {
        let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        place = &mut place[name];
        path = format!("{path}.{name}");
        if is_list {
            place = &mut place[0];
            path.push_str("[0]");
        }
    }
    (place, path)
}

/// Sets the field of a row in a spec; returns the path as people read it.
fn set(spec: &mut Value, schema: &Value, row: &str, number: usize) -> String {
    let mut schema = schema;
    for name in row.split('.').skip(1) {
        schema = match name.strip_suffix("[]") {
            Some(name) => &schema["properties"][name]["items"],
            None => &schema["properties"][name],
        };
    }
    let (place, path) = field(spec, row);
    *place = sample(schema, number);
    path
}

fn bundle() -> ClusterBundle {
    let releases = crate::releases::tests::releases(&["v1.35.4"]);
    let text = include_str!("../../tests/cases/edit-template.yaml");
    let bundle = crate::parse(text, "edit-template.yaml", &releases);
    let mut bundle = bundle.unwrap_or_else(|problems| panic!("{problems}"));
    let name = "shed-login".to_owned();
    let spec = OidcConfigSpec {
        client_id: "shed".to_owned(),
        issuer_url: "https://login.example".to_owned(),
        ..OidcConfigSpec::default()
    };
    bundle
        .oidc_configs
        .insert(name.clone(), OidcConfig::new(&name, spec));
    let reference = ObjectRef {
        kind: OIDC.to_owned(),
        name,
    };
    bundle.cluster.spec.identity_provider_refs.push(reference);
    crate::with_defaults(bundle)
}

/// Access to the spec that is compared, as JSON.
type Spec = (fn(&ClusterBundle) -> Value, fn(&mut ClusterBundle, Value));

/// Of the Cluster and of one document of each other kind.
fn specs() -> [Spec; 5] {
    fn json<T: Serialize>(spec: &T) -> Value {
        serde_json::to_value(spec).unwrap()
    }
    fn parsed<T: DeserializeOwned>(spec: Value) -> T {
        serde_json::from_value(spec).unwrap()
    }
    [
        (|b| json(&b.cluster.spec), |b, spec| b.cluster.spec = parsed(spec)),
        (
            |b| json(&b.datacenter.spec),
            |b, spec| b.datacenter.spec = parsed(spec),
        ),
        (
            |b| json(&b.machine_configs["shed-worker"].spec),
            |b, spec| b.machine_configs.get_mut("shed-worker").unwrap().spec = parsed(spec),
        ),
        (
            |b| json(&b.templates["shed-t"].spec),
            |b, spec| b.templates.get_mut("shed-t").unwrap().spec = parsed(spec),
        ),
        (
            |b| json(&b.oidc_configs["shed-login"].spec),
            |b, spec| b.oidc_configs.get_mut("shed-login").unwrap().spec = parsed(spec),
        ),
    ]
}

#[test]
fn a_change_of_any_field_is_carried_out_or_refused_by_its_name() {
    let [cluster, datacenter, machine_config, template, provider] = specs();
    let kinds: [(Value, &[Row], Spec); 5] = [
        (schema::<Cluster>(), CLUSTER, cluster),
        (schema::<TinkerbellDatacenterConfig>(), DATACENTER, datacenter),
        (
            schema::<TinkerbellMachineConfig>(),
            MACHINE_CONFIG,
            machine_config,
        ),
        (schema::<TinkerbellTemplateConfig>(), TEMPLATE, template),
        (schema::<OidcConfig>(), OIDC_CONFIG, provider),
    ];
    for (schema, rows, spec) in kinds {
        check_changes(bundle, &schema, rows, spec);
    }
}

/// A change of each field is carried out, or refused by its name.
fn check_changes(base: fn() -> ClusterBundle, schema: &Value, rows: &[Row], (read, write): Spec) {
    for (row, decision) in rows {
        let with = |number: usize| {
            let mut bundle = base();
            let mut spec = read(&bundle);
            let path = set(&mut spec, schema, row, number);
            // References must lead to what they led to before; the comparison is about their text.
            write(&mut bundle, spec);
            (bundle, path)
        };
        let ((old, path), (new, _)) = (with(3), with(5));
        let compared = update(&old, &new, &[]);
        let refused: Vec<&str> = compared.refused.iter().map(|one| one.path.as_str()).collect();
        let accepted = matches!(
            decision,
            Decision::CarriedOut | Decision::RollsOut | Decision::NoEffect
        );
        if accepted {
            assert_eq!(refused, Vec::<&str>::new(), "{row}");
            assert_eq!(read(&compared.effective), read(&new), "{row}");
        } else {
            assert_eq!(refused, [path.as_str()], "{row}");
            if !row.ends_with("Ref") {
                assert_eq!(read(&compared.effective), read(&old), "{row}");
            }
        }
        assert!(
            compared.changed.iter().any(|changed| changed.path == path),
            "{row}: {:?}",
            compared.changed
        );
        let held = update_in_place(&old, &new, &[]);
        assert_eq!(held.refused, compared.refused, "{row}");
        let stays = !matches!(decision, Decision::CarriedOut | Decision::NoEffect);
        if !row.ends_with("Ref") && !row.ends_with("Refs") {
            let expected = if stays { &old } else { &new };
            assert_eq!(read(&held.effective), read(expected), "{row}");
        }
        assert_eq!(check_update(&old, &old, &[]), [], "{row}");
    }
}

#[test]
fn versions_go_up_by_one_minor_version() {
    let with = |version: &str| {
        let mut bundle = bundle();
        bundle.cluster.spec.kubernetes_version = version.to_owned();
        bundle
    };
    // From, to, and what is said.
    let cases = [
        ("1.34", "1.35", None),
        ("1.35", "1.35", None),
        ("1.33", "1.35", Some("apply a Release of 1.34")),
        ("1.35", "1.34", Some("put 1.35 back")),
        ("1.35", "2.35", Some("write 1.36 first")),
        ("1.35", "nonsense", Some("put 1.35 back")),
    ];
    for (from, to, said) in cases {
        let refused = check_update(&with(from), &with(to), &[]);
        let next: Vec<&str> = refused.iter().map(|one| one.next_step.as_str()).collect();
        assert_eq!(
            next.len(),
            usize::from(said.is_some()),
            "{from} {to}: {refused:?}"
        );
        assert!(
            next.iter().all(|next| next.contains(said.unwrap_or_default())),
            "{next:?}"
        );
    }
}

#[test]
fn counts_go_up_and_down() {
    let with = |count| {
        let mut bundle = bundle();
        bundle.cluster.spec.control_plane_configuration.count = count;
        bundle.cluster.spec.worker_node_group_configurations[0].count = Some(count);
        bundle
    };
    assert_eq!(check_update(&with(1), &with(3), &[]), []);
    let compared = update(&with(3), &with(1), &[]);
    assert_eq!(compared.refused, []);
    let spec = &compared.effective.cluster.spec;
    assert_eq!(spec.control_plane_configuration.count, 1);
    assert_eq!(spec.worker_node_group_configurations[0].count, Some(1));
}

#[test]
fn worker_groups_are_compared_by_name_and_come_and_go() {
    let old = bundle();
    let mut new = old.clone();
    let groups = &mut new.cluster.spec.worker_node_group_configurations;
    let mut first = groups[0].clone();
    first.name = Some("first".to_owned());
    groups.insert(0, first);
    assert_eq!(check_update(&old, &new, &[]), []);
    let group = &mut new.cluster.spec.worker_node_group_configurations[1];
    group.failure_domains = vec!["a".to_owned()];
    let refused = check_update(&old, &new, &[]);
    assert_eq!(refused.len(), 1);
    assert_eq!(
        refused[0].path,
        "spec.workerNodeGroupConfigurations[1].failureDomains"
    );
    new.cluster.spec.worker_node_group_configurations.clear();
    assert_eq!(check_update(&old, &new, &[]), []);
}

#[test]
fn a_refused_reference_leads_to_what_it_led_to() {
    let old = bundle();
    let mut new = old.clone();
    let mut other = new.machine_configs["shed-worker"].clone();
    other.metadata.name = Some("other".to_owned());
    new.machine_configs.insert("other".to_owned(), other);
    let group = &mut new.cluster.spec.worker_node_group_configurations[0];
    group.machine_group_ref.as_mut().unwrap().name = "other".to_owned();
    new.cluster.spec.datacenter_ref.name = "elsewhere".to_owned();
    new.datacenter.metadata.name = Some("elsewhere".to_owned());
    let compared = update(&old, &new, &[]);
    let paths: Vec<&str> = compared.refused.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.datacenterRef",
            "spec.workerNodeGroupConfigurations[0].machineGroupRef"
        ]
    );
    assert_eq!(compared.effective, old);
}

#[test]
fn the_virtual_router_id_is_a_field_like_the_others() {
    let old = bundle();
    let with = |id: u8| {
        let mut new = old.clone();
        new.cluster
            .annotations_mut()
            .insert(VRRP_ID.to_owned(), id.to_string());
        new
    };
    let derived = vrrp_id(&old.cluster);
    assert_eq!(
        check_update(&old, &with(derived), &[]),
        [],
        "it says what holds anyway"
    );
    let compared = update(&old, &with(derived - 1), &[]);
    assert_eq!(compared.refused.len(), 1);
    assert_eq!(
        compared.refused[0].path,
        format!("metadata.annotations[{VRRP_ID}]")
    );
    assert_eq!(vrrp_id(&compared.effective.cluster), derived);
    let documents = with(9).documents();
    let again = ClusterBundle::from_documents("shed", "eksa-system", &documents);
    assert_eq!(vrrp_id(&again.cluster), 9);
}
