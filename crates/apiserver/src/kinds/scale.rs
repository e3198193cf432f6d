//! The subresource `scale` of a kind: where its numbers are, and an object as `autoscaling/v1` Scale. Pure.

use serde_json::{Map, Value, json};

use crate::meta::{Meta, as_map};
use crate::status::Cause;

/// Group of what is read and written.
pub(crate) const GROUP: &str = "autoscaling";
/// Its version.
pub(crate) const VERSION: &str = "v1";
/// Its kind.
pub(crate) const KIND: &str = "Scale";

/// Paths to the numbers of a kind that has a scale, each as the names of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    /// How many there are to be.
    spec: Vec<String>,
    /// How many there are.
    status: Vec<String>,
    /// The selector, as text, of what is counted.
    selector: Option<Vec<String>>,
}

impl ScalePaths {
    /// Those of `subresources.scale` of a version of a definition.
    pub(super) fn parse(scale: &Value) -> Option<ScalePaths> {
        let path = |field: &str| {
            let names = scale[field].as_str()?.strip_prefix('.')?.split('.');
            Some(names.map(str::to_owned).collect())
        };
        Some(ScalePaths {
            spec: path("specReplicasPath")?,
            status: path("statusReplicasPath")?,
            selector: path("labelSelectorPath"),
        })
    }

    /// The path of the wanted number as definitions write it.
    pub(crate) fn wanted_path(&self) -> String {
        written(&self.spec)
    }

    /// How many there are to be, where the object says so.
    pub(crate) fn wanted(&self, object: &Value) -> Option<i64> {
        at(object, &self.spec)?.as_i64()
    }

    /// Makes it so many.
    pub(crate) fn want(&self, object: &mut Value, replicas: i32) {
        let mut place = object;
        for name in &self.spec {
            place = as_map(place).entry(name.clone()).or_insert(Value::Null);
        }
        *place = replicas.into();
    }

    /// The object as a scale. As `autoscaling/v1` writes it, a wanted number of 0 is left out.
    pub(crate) fn scale(&self, object: &Value) -> Value {
        let shown = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
        let metadata: Map<String, Value> = object
            .meta()
            .into_iter()
            .flatten()
            .filter(|(key, _)| shown.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let there = at(object, &self.status).and_then(Value::as_i64);
        let mut scale = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": KIND, "metadata": metadata,
            "spec": {}, "status": {"replicas": there.unwrap_or(0)}});
        if let Some(wanted) = self.wanted(object).filter(|wanted| *wanted != 0) {
            scale["spec"]["replicas"] = wanted.into();
        }
        let selector = self
            .selector
            .as_ref()
            .and_then(|path| at(object, path)?.as_str())
            .unwrap_or("");
        if !selector.is_empty() {
            scale["status"]["selector"] = selector.into();
        }
        scale
    }

    /// Causes for refusing the numbers of an object, whichever way they are written.
    pub(crate) fn bad_numbers(&self, object: &Value) -> Vec<Cause> {
        let bad = |path: &Vec<String>| {
            let value = at(object, path)?;
            let number = value.as_i64()?;
            let text = if number < 0 {
                "should be a non-negative integer".to_owned()
            } else if number > i64::from(i32::MAX) {
                format!("should be less than or equal to {}", i32::MAX)
            } else {
                return None;
            };
            Some(Cause::invalid(&written(path), value, &text))
        };
        [&self.spec, &self.status].into_iter().filter_map(bad).collect()
    }
}

fn written(path: &[String]) -> String {
    format!(".{}", path.join("."))
}

fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(object, |value, name| value.get(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> ScalePaths {
        let scale = json!({"specReplicasPath": ".spec.wanted.many", "statusReplicasPath": ".status.many",
            "labelSelectorPath": ".status.chosen"});
        ScalePaths::parse(&scale).unwrap()
    }

    #[test]
    fn an_object_as_a_scale() {
        for (spec, status, expected) in [
            (
                json!({"wanted": {"many": 3}}),
                json!({"many": 2, "chosen": "a=b"}),
                json!({"spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "a=b"}}),
            ),
            (
                json!({"wanted": {"many": 0}}),
                json!(null),
                json!({"spec": {}, "status": {"replicas": 0}}),
            ),
            (
                json!({}),
                json!({"chosen": ""}),
                json!({"spec": {}, "status": {"replicas": 0}}),
            ),
        ] {
            let metadata =
                json!({"name": "t", "namespace": "n", "uid": "u", "labels": {"a": "b"}, "generation": 3});
            let scale = paths().scale(&json!({"metadata": metadata, "spec": spec, "status": status}));
            assert_eq!(
                scale["metadata"],
                json!({"name": "t", "namespace": "n", "uid": "u"})
            );
            assert_eq!(
                json!({"spec": scale["spec"], "status": scale["status"]}),
                expected
            );
        }
    }

    #[test]
    fn a_wanted_number_is_written_where_the_definition_says() {
        for mut object in [json!({}), json!({"spec": {"wanted": {"many": 2, "other": 1}}})] {
            paths().want(&mut object, 5);
            assert_eq!(paths().wanted(&object), Some(5), "{object}");
        }
    }

    #[test]
    fn numbers_that_nothing_with_a_scale_has() {
        let fields = |spec: Value, status: Value| -> Vec<String> {
            let object = json!({"spec": {"wanted": {"many": spec}}, "status": {"many": status}});
            let causes = paths().bad_numbers(&object).into_iter();
            causes.map(|cause| cause.field).collect()
        };
        assert_eq!(fields(json!(1), json!(null)), Vec::<String>::new());
        assert_eq!(fields(json!(-1), json!(1)), [".spec.wanted.many"]);
        assert_eq!(fields(json!(1), json!(4_000_000_000_u32)), [".status.many"]);
    }
}
