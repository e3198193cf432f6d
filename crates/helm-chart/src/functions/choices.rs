//! Choices, kinds, refusals, versions and certificates.

use super::native::{Native, Outcome, at};
use crate::certificates;
use crate::failure::Failure;
use crate::value::{Object, Value};
use crate::version::{Version, satisfies};

pub(super) const TABLE: &[Native] = &[
    ("default", default),
    ("empty", |a| Ok(Value::Bool(!at(a, 0)?.truthy()))),
    ("coalesce", |a| {
        Ok(a.iter()
            .find(|value| value.truthy())
            .cloned()
            .unwrap_or(Value::Nil))
    }),
    ("ternary", ternary),
    ("fail", |a| Err(at(a, 0)?.printed().into())),
    ("required", required),
    ("kindOf", |a| Ok(Value::text(at(a, 0)?.kind()))),
    ("kindIs", |a| {
        Ok(Value::Bool(at(a, 0)?.printed() == at(a, 1)?.kind()))
    }),
    ("typeOf", |a| Ok(Value::text(at(a, 0)?.type_name()))),
    ("typeIs", |a| {
        Ok(Value::Bool(at(a, 0)?.printed() == at(a, 1)?.type_name()))
    }),
    ("typeIsLike", type_is_like),
    ("deepCopy", |a| Ok(at(a, 0)?.deep_copy())),
    ("mustDeepCopy", |a| Ok(at(a, 0)?.deep_copy())),
    ("deepEqual", |a| Ok(Value::Bool(at(a, 0)? == at(a, 1)?))),
    ("semver", |a| {
        version(at(a, 0)?).map(|version| Value::object(Object::Version(version)))
    }),
    ("semverCompare", semver_compare),
    // As `helm template`: there is no cluster to look in.
    ("lookup", |_| Ok(Value::map([]))),
    ("genCA", certificates::ca),
    ("genSelfSignedCert", certificates::self_signed_certificate),
    ("genSignedCert", certificates::signed),
    ("buildCustomCert", certificates::custom),
];

fn default(args: &[Value]) -> Outcome {
    let fallback = at(args, 0)?;
    let given = args.get(1).filter(|given| given.truthy());
    Ok(given.unwrap_or(fallback).clone())
}

fn ternary(args: &[Value]) -> Outcome {
    let chosen = if at(args, 2)?.truthy() { 0 } else { 1 };
    at(args, chosen).cloned()
}

fn required(args: &[Value]) -> Outcome {
    let (message, value) = (at(args, 0)?, at(args, 1)?);
    match value {
        Value::Nil => Err(message.printed().into()),
        Value::String(text) if text.is_empty() => Err(message.printed().into()),
        given => Ok(given.clone()),
    }
}

fn type_is_like(args: &[Value]) -> Outcome {
    let (wanted, own) = (at(args, 0)?.printed(), at(args, 1)?.type_name());
    Ok(Value::Bool(wanted == own || format!("*{wanted}") == own))
}

fn version(value: &Value) -> Result<Version, Failure> {
    Ok(Version::parse(&value.printed())?)
}

fn semver_compare(args: &[Value]) -> Outcome {
    let version = version(at(args, 1)?)?;
    Ok(Value::Bool(satisfies(&at(args, 0)?.printed(), &version)?))
}
