//! From a CustomResourceDefinition to a kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::columns::parse_path;
use super::definition_rules::{bad_conversion, bad_group, bad_scales};
use super::{Cell, Column, Kind, Origin, ScalePaths, Version, object_meta};
use crate::meta::names::{NameRule, is_subdomain};
use crate::meta::{Meta, as_map};
use crate::schema::Schema;
use crate::status::{Cause, group_resource};

/// Causes for refusing a definition, before it is stored. `reserved`: groups of kinds that need no definition.
pub(crate) fn prepare_definition(object: &mut Value, reserved: &BTreeSet<&str>) -> Vec<Cause> {
    fill_names(object);
    let mut causes: Vec<Cause> = bad_group(object, reserved).into_iter().collect();
    causes.extend(bad_conversion(object));
    let spec = &object["spec"];
    let group = spec["group"].as_str().unwrap_or("");
    let plural = spec["names"]["plural"].as_str().unwrap_or("");
    if !is_subdomain(group) || !group.contains('.') {
        causes.push(Cause::invalid(
            "spec.group",
            &spec["group"],
            "should be a domain with at least one dot",
        ));
    }
    for field in ["plural", "kind"] {
        if spec["names"][field].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(&format!("spec.names.{field}"), ""));
        }
    }
    let wanted = group_resource(group, plural);
    if object.name() != wanted {
        let text = format!("must be spec.names.plural+\".\"+spec.group: {wanted}");
        causes.push(Cause::invalid("metadata.name", &object.name().into(), &text));
    }
    if !matches!(spec["scope"].as_str(), Some("Namespaced" | "Cluster")) {
        let supported = [json!("Cluster"), json!("Namespaced")];
        causes.push(Cause::unsupported("spec.scope", &spec["scope"], &supported));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.is_empty() {
        causes.push(Cause::required("spec.versions", "must have at least one version"));
    } else if versions.iter().filter(|v| v["storage"] == json!(true)).count() != 1 {
        let text = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], text));
    }
    causes.extend(bad_scales(versions));
    for (i, version) in versions.iter().enumerate() {
        let at = format!("spec.versions[{i}].schema.openAPIV3Schema");
        causes.extend(bad_columns(i, version));
        match version["schema"].get("openAPIV3Schema") {
            None => causes.push(Cause::required(&at, "schemas are required")),
            Some(schema) => {
                if let Err(why) = Schema::parse_new(schema) {
                    causes.push(Cause::invalid(&at, &"schema".into(), &why));
                }
            }
        }
    }
    causes
}

fn bad_columns(index: usize, version: &Value) -> Vec<Cause> {
    let columns = version["additionalPrinterColumns"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate();
    let bad = columns.filter(|(_, column)| column["jsonPath"].as_str().and_then(parse_path).is_none());
    let cause = |(i, column): (usize, &Value)| {
        let at = format!("spec.versions[{index}].additionalPrinterColumns[{i}].jsonPath");
        Cause::invalid(&at, &column["jsonPath"], "not a JSONPath that is understood")
    };
    bad.map(cause).collect()
}

/// Names that follow from the kind when the author leaves them out.
pub(crate) fn fill_names(object: &mut Value) {
    let Some(kind) = object["spec"]["names"]["kind"].as_str().map(str::to_owned) else {
        return;
    };
    let names = as_map(&mut object["spec"]["names"]);
    names
        .entry("singular")
        .or_insert_with(|| kind.to_lowercase().into());
    names
        .entry("listKind")
        .or_insert_with(|| format!("{kind}List").into());
}

/// The kind that a definition defines.
pub(crate) fn definition_kind(object: &Value) -> Result<Kind, String> {
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .map(|l| l.iter().map(&text).collect())
            .unwrap_or_default()
    };
    // A name that another definition has is asked for in the spec, but not in service.
    let accepted = &object["status"]["acceptedNames"];
    let is_accepted = accepted["kind"].as_str().is_some_and(|kind| !kind.is_empty());
    let names = if is_accepted { accepted } else { &spec["names"] };
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let list = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let versions = list.iter().map(version).collect::<Result<Vec<_>, _>>()?;
    let status = versions.iter().any(|v| v.status);
    let selectable = list
        .iter()
        .flat_map(|v| v["selectableFields"].as_array().into_iter().flatten())
        .map(|f| text(&f["jsonPath"]).trim_start_matches('.').to_owned())
        .collect();
    tracing::trace!(group, plural, status, "definition read");
    Ok(Kind {
        resource: Arc::from(group_resource(&group, &plural)),
        group,
        plural,
        singular: text(&names["singular"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == json!("Namespaced"),
        versions,
        origin: Origin::Custom,
        generation: true,
        name_rule: NameRule::Subdomain,
        selectable,
        renames: &[],
        conversions: Vec::new(),
    })
}

fn version(value: &Value) -> Result<Version, String> {
    let flag = |key: &str| value[key].as_bool().unwrap_or(false);
    let raw = value["schema"]
        .get("openAPIV3Schema")
        .cloned()
        .unwrap_or_else(|| json!({"type": "object"}));
    let mut schema = Schema::parse(&raw)?;
    schema
        .properties
        .insert("metadata".to_owned(), object_meta().clone());
    for field in ["apiVersion", "kind"] {
        schema.properties.entry(field.to_owned()).or_default();
    }
    Ok(Version {
        name: value["name"].as_str().unwrap_or("").to_owned(),
        served: flag("served"),
        storage: flag("storage"),
        status: value["subresources"].get("status").is_some_and(|s| !s.is_null()),
        scale: ScalePaths::parse(&value["subresources"]["scale"]),
        schema: Arc::new(schema),
        published: raw,
        columns: columns(value),
    })
}

fn columns(version: &Value) -> Vec<Column> {
    let mut columns = vec![Column::new("Name", "string", Cell::Name)];
    let list = version["additionalPrinterColumns"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for given in list {
        let text = |key: &str| given[key].as_str().unwrap_or("");
        let mut column = Column::path(text("name"), text("type"), text("jsonPath"));
        column.format = text("format").to_owned();
        column.description = text("description").to_owned();
        column.priority = given["priority"].as_i64().unwrap_or(0);
        columns.push(column);
    }
    if list.is_empty() {
        columns.push(Column::age());
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Value {
        json!({"metadata": {"name": "things.x.y"}, "spec": {"group": "x.y", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object"}},
                "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}]}]}})
    }

    #[test]
    fn a_sound_definition_becomes_a_kind() {
        let mut object = definition();
        assert_eq!(prepare_definition(&mut object, &BTreeSet::new()), Vec::new());
        let kind = definition_kind(&object).unwrap();
        assert_eq!(
            (kind.list_kind.as_str(), kind.singular.as_str()),
            ("ThingList", "thing")
        );
        assert_eq!(kind.versions[0].columns.len(), 2);
        assert!(kind.versions[0].status);
    }

    #[test]
    fn faults_are_named() {
        for (pointer, value, field) in [
            ("/spec/group", json!("x"), "spec.group"),
            ("/spec/names/kind", json!(null), "spec.names.kind"),
            ("/metadata/name", json!("things"), "metadata.name"),
            ("/spec/scope", json!("Both"), "spec.scope"),
            (
                "/spec/versions/0/additionalPrinterColumns/0/jsonPath",
                json!(".a[?(@.b)]"),
                "spec.versions[0].additionalPrinterColumns[0].jsonPath",
            ),
            ("/spec/versions", json!([]), "spec.versions"),
            ("/spec/versions/0/storage", json!(false), "spec.versions"),
            (
                "/spec/versions/0/schema",
                json!({}),
                "spec.versions[0].schema.openAPIV3Schema",
            ),
        ] {
            let mut object = definition();
            *object.pointer_mut(pointer).unwrap() = value;
            let causes = prepare_definition(&mut object, &BTreeSet::new());
            assert!(causes.iter().any(|c| c.field == field), "{pointer}: {causes:?}");
        }
    }
}
