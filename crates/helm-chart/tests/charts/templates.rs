//! Templates: what they render to, and how their errors name the place.

use serde_json::json;

use crate::{chart, object, release, text};

#[test]
fn constructs_render_as_in_go() {
    let values = json!({ "a": { "b": "x" }, "list": ["p", "q"], "n": 3, "big": 1_000_000, "off": false });
    for (template, wanted) in [
        ("{{ .Values.a.b }}", "x"),
        ("{{ .Values.missing }}|{{ .Values.a.missing }}", "|"),
        ("{{ .Values.n }} {{ .Values.big }}", "3 1e+06"),
        ("a {{- /* note */ -}} b", "ab"),
        (
            "{{ with .Values.missing }}1{{ else with .Values.a }}{{ .b }}{{ end }}",
            "x",
        ),
        (
            "{{ range $i, $v := .Values.list }}{{ $i }}{{ $v }}{{ end }}",
            "0p1q",
        ),
        ("{{ range $k, $v := .Values.a }}{{ $k }}={{ $v }}{{ end }}", "b=x"),
        ("{{ range .Values.none }}1{{ else }}none{{ end }}", "none"),
        (
            "{{ $last := \"\" }}{{ range .Values.list }}{{ $last = . }}{{ end }}{{ $last }}",
            "q",
        ),
        (
            "{{ range until 5 }}{{ if eq . 3 }}{{ break }}{{ end }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ end }}",
            "02",
        ),
        ("{{ and .Values.off (fail \"no\") }}", "false"),
        ("{{ or .Values.n (fail \"no\") }}", "3"),
        (
            "{{ define \"t\" }}<{{ . }}>{{ end }}{{ include \"t\" \"x\" | upper }}",
            "<X>",
        ),
        (
            "{{ define \"t\" }}{{ $.k }}{{ end }}{{ template \"t\" (dict \"k\" 1) }}",
            "1",
        ),
        ("{{ tpl \"{{ .Values.a.b }}\" . }}", "x"),
        ("{{ $d := dict }}{{ $_ := set $d \"k\" 1 }}{{ $d.k }}", "1"),
        ("{{ $_ := set .Values.a \"c\" \"y\" }}{{ .Values.a.c }}", "y"),
        (
            "{{ .Release.Name }} {{ .Release.Namespace }} {{ .Chart.Name }} {{ .Chart.AppVersion }}",
            "demo kube-system shed 7",
        ),
        (
            "{{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion.Minor }}",
            "v1.35.4 35",
        ),
        ("{{ .Capabilities.APIVersions.Has \"apps/v1\" }}", "true"),
        ("{{ (semver \"v1.35.4\").Minor }}", "35"),
        (
            "{{ semverCompare \">=1.27-0\" .Capabilities.KubeVersion.Version }}",
            "true",
        ),
        (
            "{{ .Template.Name }} {{ .Template.BasePath }}",
            "shed/templates/a.yaml shed/templates",
        ),
        ("{{ lookup \"v1\" \"Secret\" \"a\" \"b\" | empty }}", "true"),
        ("{{ toYaml .Values.a }}", "b: x"),
        ("{{ (fromYaml \"k: [1]\").k }}", "[1]"),
        ("{{ (fromYaml \"k: [\").Error | empty }}", "false"),
        ("{{ printf \"%s-%d\" \"a\" 7 }}", "a-7"),
        ("{{ print \"a\" 1 2 \"b\" }}", "a1 2b"),
        (
            "{{ dig \"a\" \"z\" \"none\" (dict \"a\" (dict \"b\" 1)) }}",
            "none",
        ),
        (
            "{{ kindOf .Values.n }} {{ typeOf .Values.list }}",
            "float64 []interface {}",
        ),
        ("{{ int .Values.big }}", "1000000"),
    ] {
        assert_eq!(
            text(template, values.clone()).as_deref(),
            Ok(wanted),
            "{template}"
        );
    }
}

#[test]
fn errors_name_template_and_line() {
    for (template, line, words) in [
        ("a\nb{{ nothing 1 }}", 2, "there is no function \"nothing\""),
        ("{{ if }}", 1, ""),
        ("{{ if true }}x", 1, ""),
        (
            "\n\n{{ .Values.a.b.c }}",
            3,
            ".c is asked of a value that is not there",
        ),
        (
            "\n{{ required \"a name is needed\" .Values.name }}",
            2,
            "a name is needed",
        ),
        ("{{ fail \"never\" }}", 1, "never"),
        ("{{ include \"none\" . }}", 1, "there is no template \"none\""),
        ("{{ eq 1 \"1\" }}", 1, "cannot be compared"),
        ("{{ index .Values.list 4 }}", 1, "no item 4"),
        ("{{ $x = 1 }}", 1, "$x"),
        ("{{ range 1.5 }}{{ end }}", 1, "range cannot go over"),
        ("{{ \"a\" 1 }}", 1, "no function"),
        ("{{ .Values.list 1 }}", 1, "takes no arguments"),
        ("{{ .Files.Nothing }}", 1, ".Nothing"),
        ("{{ genSignedCert \"a\" nil nil 1 \"x\" }}", 1, "the CA"),
        (
            "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}",
            1,
            "deep",
        ),
    ] {
        let error = text(template, json!({ "a": {}, "list": [1] }))
            .unwrap_err()
            .to_string();
        let place = format!("shed/templates/a.yaml, line {line}: ");
        assert!(
            error.starts_with(&place) && error.contains(words),
            "{template}\n{error}"
        );
    }
}

#[test]
fn an_error_in_an_included_template_says_how_it_was_reached() {
    let chart = chart(&[
        (
            "templates/_lib.tpl",
            "\n{{ define \"inner\" }}\n{{ fail \"no disk\" }}{{ end }}",
        ),
        ("templates/a.yaml", "\n\n{{ include \"inner\" . }}"),
    ]);
    let error = chart.render_texts(&release(), &object(json!({}))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "shed/templates/_lib.tpl, line 3: no disk (reached from shed/templates/a.yaml line 3)"
    );
}

#[test]
fn endless_templates_end() {
    for template in [
        "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}",
        "{{ $s := repeat 1000000 \"x\" }}{{ range until 1000 }}{{ $s }}{{ end }}",
    ] {
        let error = text(template, json!({})).unwrap_err().to_string();
        assert!(error.contains("more than"), "{error}");
    }
}

#[test]
fn objects_come_in_the_order_of_their_application_without_hooks_and_notes() {
    let of =
        |kind: &str, name: &str| format!("---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n");
    let a = format!(
        "{}{}# nothing\n---\n{}",
        of("Pod", "p"),
        of("Zebra", "z"),
        of("Namespace", "n")
    );
    let hook = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: t\n  annotations: {\"helm.sh/hook\": test}\n";
    let b = format!("{}{}", of("Service", "s"), of("ConfigMap", "c"));
    let chart = chart(&[
        ("templates/a.yaml", &a),
        ("templates/b.yaml", &b),
        ("templates/test.yaml", hook),
        ("templates/NOTES.txt", "hello {{ .Release.Name }}"),
        ("crds/x.yaml", &of("CustomResourceDefinition", "x")),
    ]);
    let rendered = chart.render(&release(), &object(json!({}))).unwrap();
    let kinds: Vec<&str> = rendered
        .objects
        .iter()
        .map(|found| found.object["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "CustomResourceDefinition",
            "Namespace",
            "ConfigMap",
            "Service",
            "Pod",
            "Zebra"
        ]
    );
    assert_eq!(rendered.hooks.len(), 1);
    assert_eq!(rendered.notes.as_deref(), Some("hello demo"));
}

#[test]
fn text_that_is_no_object_is_refused_by_template_and_line() {
    for (rendered, line, words) in [
        ("a: [", 1, ""),
        ("x: 1", 1, "no kind"),
        ("a: 1\na: 2", 2, "stands twice"),
    ] {
        let chart = chart(&[("templates/a.yaml", rendered)]);
        let error = chart
            .render(&release(), &object(json!({})))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("shed/templates/a.yaml renders to text that is no object")
                && error.contains(words),
            "{error}"
        );
        assert!(error.contains(&format!("line {line}")), "{error}");
    }
}
