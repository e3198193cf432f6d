//! Values: the user's above the chart's, the charts inside, and the schema.

use serde_json::{Value, json};

use crate::{chart, object, release};

const DEFAULTS: &str = "a: 1\nnested: {x: 1, y: {z: 2}}\nlist: [1, 2]\nempty: null\n";

fn merged(user: Value) -> Value {
    let chart = chart(&[("values.yaml", DEFAULTS)]);
    Value::Object(chart.merged_values(&object(user)).unwrap())
}

#[test]
fn the_users_values_are_above_and_null_takes_away() {
    for (user, wanted) in [
        (
            json!({}),
            json!({ "a": 1, "nested": { "x": 1, "y": { "z": 2 } }, "list": [1, 2], "empty": null }),
        ),
        (
            json!({ "a": null, "nested": { "y": null, "w": 3 }, "list": [9], "new": null }),
            json!({ "nested": { "x": 1, "w": 3 }, "list": [9], "empty": null, "new": null }),
        ),
        // A dict stays where the user gives something else, and the other way round.
        (
            json!({ "nested": 5, "a": { "b": 1 } }),
            json!({ "nested": 5, "a": { "b": 1 }, "list": [1, 2], "empty": null }),
        ),
    ] {
        assert_eq!(merged(user.clone()), wanted, "{user}");
    }
}

#[test]
fn anchors_merge_keys_and_old_booleans_are_read_as_go_reads_them() {
    let chart = chart(&[(
        "values.yaml",
        "base: &b {x: 1}\ncopy: {<<: *b, y: 0644}\nflag: yes\nmode: \"0644\"\nhex: 0x1F\nbig: 1_000\n",
    )]);
    assert_eq!(
        Value::Object(chart.values().clone()),
        json!({
            "base": { "x": 1 }, "copy": { "x": 1, "y": 420 }, "flag": true, "mode": "0644", "hex": 31, "big": 1000,
        })
    );
}

const OUTER: &str = "apiVersion: v2\nname: shed\nversion: 0.1.0\ndependencies:\n- name: inner\n  version: 1.0.0\n  condition: inner.enabled\n";
const INNER: &str = "apiVersion: v2\nname: inner\nversion: 1.0.0\n";

#[test]
fn charts_inside_see_their_own_values_and_the_global_ones() {
    let chart = chart(&[
        ("Chart.yaml", OUTER),
        (
            "values.yaml",
            "global: {region: r1}\ninner: {enabled: true, size: 2}\n",
        ),
        ("charts/inner/Chart.yaml", INNER),
        ("charts/inner/values.yaml", "size: 1\nkept: k\n"),
        (
            "charts/inner/templates/a.yaml",
            "{{ .Values.size }} {{ .Values.kept }} {{ .Values.global.region }} {{ .Chart.Name }} {{ .Chart.IsRoot }}",
        ),
        (
            "templates/b.yaml",
            "{{ .Values.inner.kept }} {{ .Subcharts.inner.Values.size }}",
        ),
    ]);
    let texts = chart
        .render_texts(&release(), &object(json!({ "global": { "region": "r2" } })))
        .unwrap();
    assert_eq!(texts["shed/charts/inner/templates/a.yaml"], "2 k r2 inner false");
    assert_eq!(texts["shed/templates/b.yaml"], "k 2");
    let texts = chart.render_texts(&release(), &object(json!({ "inner": { "enabled": false } })));
    let error = texts.unwrap_err().to_string();
    assert!(error.contains("b.yaml, line 1"), "{error}");
}

#[test]
fn values_that_the_schema_refuses_are_named() {
    let chart = chart(&[
        (
            "values.schema.json",
            r#"{"type": "object", "properties": {"mode": {"enum": ["a", "b"]}, "n": {"type": "integer"}}}"#,
        ),
        ("templates/a.yaml", ""),
    ]);
    assert!(
        chart
            .render(&release(), &object(json!({ "mode": "a", "n": 1 })))
            .is_ok()
    );
    let error = chart
        .render(&release(), &object(json!({ "mode": "c", "n": "1" })))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("chart shed: values: ") && error.contains("mode: ") && error.contains("n: "),
        "{error}"
    );
}

#[test]
fn a_chart_for_another_kubernetes_is_refused() {
    let text = "apiVersion: v2\nname: shed\nversion: 0.1.0\nkubeVersion: \">=1.40.0-0\"\n";
    let error = chart(&[("Chart.yaml", text)])
        .render(&release(), &object(json!({})))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "chart shed 0.1.0 is for Kubernetes >=1.40.0-0, and the cluster has v1.35.4"
    );
}
