//! S: schemas, and requests that do not fit them.

use serde_json::{Map, Value};
use tonic::{Code, Status};

use crate::conformance::case::{Case, case};
use crate::conformance::driven::Driven;
use crate::conformance::parameters::secrets;
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, Problem, ensure};
use crate::fault::Fault;
use crate::json;
use crate::v1::{GetSchemaRequest, GetSchemaResponse, Reason, StateKind, UpgradeStateRequest};

pub(super) const CASES: &[Case] = &[
    case!("S1", "has JSON Schemas of type object", schemas_are_schemas),
    case!("S2", "has examples that fit its schemas", examples_fit),
    case!("S3", "names the required field that is missing", required_fields),
    case!("S5", "has no defaults for secrets", no_default_secrets),
    case!(
        "S6",
        "upgrades its own state, and refuses one from the future",
        state_versions
    ),
];

async fn schemas(driven: &Driven) -> Result<[(&'static str, Value); 5], Problem> {
    let answer: GetSchemaResponse = driven
        .plugin()
        .get_schema(GetSchemaRequest {})
        .await?
        .into_inner();
    let mut schemas = Vec::new();
    for (name, text) in [
        ("scope_schema", answer.scope_schema),
        ("secret_schema", answer.secret_schema),
        ("machine_schema", answer.machine_schema),
        ("image_schema", answer.image_schema),
        ("identity_schema", answer.identity_schema),
    ] {
        let schema = serde_json::from_str(&text).map_err(|error| format!("{name} is no JSON: {error}"))?;
        schemas.push((name, schema));
    }
    schemas.try_into().map_err(|_| Problem::from("five schemas"))
}

async fn schemas_are_schemas(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    for (name, schema) in schemas(&driven).await? {
        if let Err(error) = jsonschema::draft202012::new(&schema) {
            return Err(format!("{name} is no JSON Schema: {error}").into());
        }
        ensure!(
            schema.get("type").is_some_and(|kind| kind == "object"),
            "{name} is not of type object"
        );
    }
    Ok(())
}

async fn examples_fit(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    for (name, schema) in schemas(&driven).await? {
        let compiled = jsonschema::draft202012::new(&schema).map_err(|error| error.to_string())?;
        let examples = schema.get("examples").and_then(Value::as_array);
        for example in examples.into_iter().flatten() {
            if let Err(error) = compiled.validate(example) {
                return Err(format!("an example of {name} does not fit it: {error}").into());
            }
        }
    }
    Ok(())
}

fn required(schema: &Value) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

async fn required_fields(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let [(_, scope), (_, secret), (_, machine), ..] = schemas(&driven).await?;
    for name in required(&scope) {
        let mut order = subject.order();
        order.scope.config = Some(json::to_struct(&without(&subject.parameters.config, name)));
        names_field(
            driven.create_once(&mut order).await,
            &format!("/scope/config/{name}"),
        )?;
    }
    for name in required(&secret) {
        let mut order = subject.order();
        let mut texts = subject.parameters.secrets.clone();
        texts.remove(name);
        order.scope.secrets = secrets(&texts);
        names_field(
            driven.create_once(&mut order).await,
            &format!("/scope/secrets/{name}"),
        )?;
    }
    for name in required(&machine) {
        let mut order = subject.order();
        order.spec.provider = Some(json::to_struct(&without(&subject.parameters.spec.provider, name)));
        names_field(
            driven.create_once(&mut order).await,
            &format!("/spec/provider/{name}"),
        )?;
    }
    Ok(())
}

fn without(object: &Map<String, Value>, name: &str) -> Map<String, Value> {
    let mut object = object.clone();
    object.remove(name);
    object
}

fn names_field<T>(answer: Result<T, Status>, field: &str) -> Checked {
    let Err(status) = answer else {
        return Err(format!("CreateMachine succeeds without {field}").into());
    };
    let found = Fault::from(&status).detail.field;
    ensure!(
        status.code() == Code::InvalidArgument && found == field,
        "without {field} CreateMachine answers {:?} with field {found:?}",
        status.code()
    );
    Ok(())
}

async fn no_default_secrets(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let [_, (_, secret), ..] = schemas(&driven).await?;
    let properties = secret.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        ensure!(schema.get("default").is_none(), "secret {name} has a default");
        ensure!(schema.get("examples").is_none(), "secret {name} has examples");
    }
    Ok(())
}

async fn state_versions(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let present = driven.info().state_version;
    let request = |state_version| UpgradeStateRequest {
        kind: StateKind::Machine.into(),
        state_version,
        driver_state: b"state".to_vec(),
    };
    let same = driven
        .plugin()
        .upgrade_state(request(present))
        .await?
        .into_inner();
    ensure!(
        same.driver_state == b"state" && same.state_version == present,
        "state of the present version does not come back as it is"
    );
    let Err(status) = driven.plugin().upgrade_state(request(present + 1)).await else {
        return Err("it takes state of a version that it does not know".into());
    };
    ensure!(
        Fault::from(&status).reason() == Reason::StateVersion,
        "it refuses state of a later version with {:?} and not with STATE_VERSION",
        status.code()
    );
    Ok(())
}
