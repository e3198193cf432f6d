//! Values: the chart's own under the user's, as Helm merges them. A null of the user takes a key away.

use serde_json::{Map, Value as Json};

use crate::chart::{Chart, Dependency};
use crate::error::Error;

/// Values that all charts see.
const GLOBAL: &str = "global";

/// The values of a chart and, under their names, of the charts inside of it. Charts that the values switch off are taken out.
pub(crate) fn merged(chart: &mut Chart, mut user: Map<String, Json>) -> Result<Map<String, Json>, Error> {
    switch_off(chart, &user);
    coalesce(chart, &mut user)?;
    Ok(user)
}

/// Takes out the charts whose condition or tags are false.
fn switch_off(chart: &mut Chart, user: &Map<String, Json>) {
    let mut values = user.clone();
    coalesce_values(chart, &mut values, false);
    let dependencies = chart.metadata.dependencies.clone();
    chart.subcharts.retain(|inner| {
        let name = &inner.metadata.name;
        let known = dependencies
            .iter()
            .find(|dependency| dependency.name == *name || dependency.alias == *name);
        known.is_none_or(|dependency| is_on(dependency, &values))
    });
    for inner in &mut chart.subcharts {
        let own = values.get(&inner.metadata.name).and_then(Json::as_object);
        switch_off(inner, &own.cloned().unwrap_or_default());
    }
}

fn is_on(dependency: &Dependency, values: &Map<String, Json>) -> bool {
    for path in dependency.condition.split(',').filter(|path| !path.is_empty()) {
        let pointer = format!("/{}", path.trim().replace('.', "/"));
        let found = values.get(pointer[1..].split('/').next().unwrap_or_default());
        let rest = pointer[1..].split_once('/').map(|(_, rest)| format!("/{rest}"));
        let found = found.and_then(|value| value.pointer(rest.as_deref().unwrap_or_default()));
        if let Some(Json::Bool(flag)) = found {
            return *flag;
        }
    }
    let tags = values.get("tags").and_then(Json::as_object);
    let flags = dependency.tags.iter();
    let flags: Vec<bool> = flags
        .filter_map(|tag| tags.and_then(|tags| tags.get(tag)).and_then(Json::as_bool))
        .collect();
    flags.is_empty() || flags.contains(&true)
}

fn coalesce(chart: &Chart, values: &mut Map<String, Json>) -> Result<(), Error> {
    coalesce_values(chart, values, false);
    for inner in &chart.subcharts {
        let name = &inner.metadata.name;
        let globals = values.get(GLOBAL).cloned();
        let own = values
            .entry(name.clone())
            .or_insert_with(|| Json::Object(Map::new()));
        let Json::Object(own) = own else {
            return Err(Error::File {
                chart: chart.metadata.name.clone(),
                file: "values".to_owned(),
                message: format!("{name} is a chart of charts/, so its values are a dict"),
            });
        };
        coalesce_globals(own, globals);
        coalesce(inner, own)?;
    }
    Ok(())
}

fn coalesce_values(chart: &Chart, values: &mut Map<String, Json>, keep_nulls: bool) {
    let is_chart = |key: &str| chart.subcharts.iter().any(|inner| inner.metadata.name == key);
    for (key, default) in &chart.values {
        match values.get_mut(key) {
            None => {
                values.insert(key.clone(), default.clone());
            }
            Some(Json::Null) if !keep_nulls => {
                values.remove(key);
            }
            Some(Json::Object(own)) => {
                if let Json::Object(defaults) = default {
                    coalesce_tables(own, defaults, keep_nulls || is_chart(key));
                }
            }
            Some(_) => {}
        }
    }
}

fn coalesce_tables(own: &mut Map<String, Json>, defaults: &Map<String, Json>, keep_nulls: bool) {
    for (key, default) in defaults {
        match (own.get_mut(key), default) {
            (None, _) => {
                own.insert(key.clone(), default.clone());
            }
            (Some(Json::Null), _) if !keep_nulls => {
                own.remove(key);
            }
            (Some(Json::Object(own)), Json::Object(defaults)) => coalesce_tables(own, defaults, keep_nulls),
            _ => {}
        }
    }
}

/// Globals of the outer chart are above those of the inner one.
fn coalesce_globals(values: &mut Map<String, Json>, outer: Option<Json>) {
    let outer = match outer {
        None => Map::new(),
        Some(Json::Object(outer)) => outer,
        Some(_) => return,
    };
    let own = values.entry(GLOBAL).or_insert_with(|| Json::Object(Map::new()));
    let Json::Object(own) = own else {
        return;
    };
    for (key, value) in outer {
        match (own.get(&key), value) {
            (Some(Json::Object(inner)), Json::Object(mut outer)) => {
                coalesce_tables(&mut outer, inner, true);
                own.insert(key, Json::Object(outer));
            }
            (Some(Json::Object(_)), _) => {}
            (Some(_), Json::Object(_)) => {}
            (_, value) => {
                own.insert(key, value);
            }
        }
    }
}
