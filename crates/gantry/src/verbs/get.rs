//! `gantry get`: tables as the API prints them, so that columns come from the definitions of the kinds.

use clap::{Args, ValueEnum};
use http::Request;
use kube::Client;
use resources::keys;
use serde::Deserialize;
use serde_json::Value;

use crate::connection;
use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::kinds::{self, Kind};
use crate::output;

const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// What: clusters, machines, servers, bmcs, workflows, hardware, plans, images, ...
    kind: String,
    /// One object.
    name: Option<String>,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "KEY=VALUE,...")]
    selector: Option<String>,
    /// Format.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The objects.
    Json,
    /// The objects.
    Yaml,
    /// The table with its further columns.
    Wide,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    #[serde(default)]
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i64,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    cells: Vec<Value>,
    #[serde(default)]
    object: Value,
}

pub(crate) async fn run(global: &Global, args: &GetArgs) -> Outcome {
    let kind = kinds::find(&args.kind).ok_or_else(|| {
        Failure::BadInput(format!(
            "unknown kind {:?}; known kinds: {}",
            args.kind,
            kinds::known().join(", ")
        ))
    })?;
    let client = connection::connect(global).await?;
    match args.output {
        Some(Format::Json) => {
            let objects: Value = ask(&client, kind, args, "application/json").await?;
            output::line(serde_json::to_string_pretty(&objects)?);
        }
        Some(Format::Yaml) => {
            let objects: Value = ask(&client, kind, args, "application/json").await?;
            output::text(&serde_saphyr::to_string(&objects)?);
        }
        None | Some(Format::Wide) => {
            let table: Table = ask(&client, kind, args, AS_TABLE).await?;
            if table.rows.is_empty() {
                output::note(format!("no {} found", args.kind));
                return Ok(());
            }
            let wide = args.output == Some(Format::Wide);
            output::text(&render(&table, wide, args.all_namespaces && kind.namespaced));
        }
    }
    Ok(())
}

async fn ask<T: serde::de::DeserializeOwned>(
    client: &Client,
    kind: Kind,
    args: &GetArgs,
    accept: &str,
) -> Outcome<T> {
    let namespace = (!args.all_namespaces).then_some(args.namespace.as_str());
    let mut uri = kind.path(namespace);
    if let Some(name) = &args.name {
        uri = format!("{uri}/{name}");
    }
    if let Some(selector) = &args.selector {
        uri = format!("{uri}?labelSelector={}", query(selector));
    }
    let request = Request::get(uri)
        .header(http::header::ACCEPT, accept)
        .body(Vec::new())?;
    client.request(request).await.map_err(|error| match error {
        kube::Error::Api(status) => Failure::text(&status.message),
        other => other.into(),
    })
}

fn query(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if keep(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn render(table: &Table, wide: bool, with_namespace: bool) -> String {
    let shown: Vec<usize> = (0..table.column_definitions.len())
        .filter(|at| wide || table.column_definitions[*at].priority == 0)
        .collect();
    let mut header: Vec<String> = shown
        .iter()
        .map(|at| table.column_definitions[*at].name.to_uppercase())
        .collect();
    if with_namespace {
        header.insert(0, "NAMESPACE".to_owned());
    }
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| {
            let mut cells: Vec<String> = shown.iter().map(|at| cell(row.cells.get(*at))).collect();
            if with_namespace {
                cells.insert(0, cell(row.object.pointer("/metadata/namespace")));
            }
            cells
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    output::table(&header, &rows)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "<none>".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "<none>".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        serde_json::from_value(json!({
            "columnDefinitions": [{"name": "Name", "type": "string"}, {"name": "State", "type": "string"},
                {"name": "Session", "type": "string", "priority": 1}],
            "rows": [{"cells": ["a", null, "armed"], "object": {"metadata": {"namespace": "x"}}}],
        }))
        .unwrap()
    }

    #[test]
    fn further_columns_are_shown_when_asked_for() {
        assert_eq!(render(&table(), false, false), "NAME  STATE\na     <none>\n");
        assert_eq!(
            render(&table(), true, false),
            "NAME  STATE   SESSION\na     <none>  armed\n"
        );
    }

    #[test]
    fn namespaces_come_first() {
        assert_eq!(
            render(&table(), false, true),
            "NAMESPACE  NAME  STATE\nx          a     <none>\n"
        );
    }

    #[test]
    fn selectors_are_escaped() {
        assert_eq!(query("a=b,c"), "a%3Db%2Cc");
    }
}
