//! `genCA` and its like. They are the only functions whose result differs from one rendering to the next, as in Helm.
//!
//! The keys are of P-256 where Sprig makes RSA keys; who reads PEM takes both.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::failure::Failure;
use crate::value::{Object, Value};

type Outcome = Result<Value, Failure>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most days that a certificate is valid: a hundred years.
const DAYS: i64 = 36_500;

/// `genCA NAME DAYS`.
pub(crate) fn ca(args: &[Value]) -> Outcome {
    let [name, days] = args else {
        return Err("genCA takes a name and a number of days".into());
    };
    let mut wanted = params(name, Vec::new(), days)?;
    wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wanted.key_usages.push(KeyUsagePurpose::KeyCertSign);
    self_signed(&wanted)
}

/// `genSelfSignedCert NAME ADDRESSES NAMES DAYS`.
pub(crate) fn self_signed_certificate(args: &[Value]) -> Outcome {
    let [name, addresses, names, days] = args else {
        return Err("genSelfSignedCert takes a name, addresses, DNS names and a number of days".into());
    };
    self_signed(&params(name, subjects(&[addresses, names]), days)?)
}

/// `genSignedCert NAME ADDRESSES NAMES DAYS CA`.
pub(crate) fn signed(args: &[Value]) -> Outcome {
    let [name, addresses, names, days, ca] = args else {
        return Err("genSignedCert takes a name, addresses, DNS names, a number of days and a CA".into());
    };
    let Value::Object(ca) = ca else {
        return Err("the CA of genSignedCert is what genCA or buildCustomCert give".into());
    };
    let Object::Certificate { cert, key } = &**ca else {
        return Err("the CA of genSignedCert is what genCA or buildCustomCert give".into());
    };
    let issuer_key = KeyPair::from_pem(key).map_err(|error| wrong("the key of the CA", &error))?;
    let issuer = Issuer::from_ca_cert_pem(cert, issuer_key).map_err(|error| wrong("the CA", &error))?;
    let own = KeyPair::generate().map_err(|error| wrong("a key", &error))?;
    let wanted = params(name, subjects(&[addresses, names]), days)?;
    let made = wanted.signed_by(&own, &issuer);
    let made = made.map_err(|error| wrong("the certificate", &error))?;
    Ok(certificate(made.pem(), own.serialize_pem()))
}

/// `buildCustomCert CERTIFICATE KEY`, both in base64.
pub(crate) fn custom(args: &[Value]) -> Outcome {
    let [cert, key] = args else {
        return Err("buildCustomCert takes a certificate and a key, both PEM in base64".into());
    };
    let decoded = |value: &Value, what: &str| {
        let bytes = STANDARD.decode(value.printed().trim()).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.filter(|text| text.contains("-----BEGIN "))
            .ok_or_else(|| Failure::from(format!("{what} of buildCustomCert is no PEM text in base64")))
    };
    Ok(certificate(
        decoded(cert, "the certificate")?,
        decoded(key, "the key")?,
    ))
}

fn wrong(what: &str, error: &rcgen::Error) -> Failure {
    format!("{what} cannot be used: {error}").into()
}

fn certificate(cert: String, key: String) -> Value {
    Value::object(Object::Certificate { cert, key })
}

fn self_signed(wanted: &CertificateParams) -> Outcome {
    let key = KeyPair::generate().map_err(|error| wrong("a key", &error))?;
    let made = wanted.self_signed(&key);
    let made = made.map_err(|error| wrong("the certificate", &error))?;
    Ok(certificate(made.pem(), key.serialize_pem()))
}

/// The texts of several lists, of which some may be nil.
fn subjects(lists: &[&Value]) -> Vec<String> {
    let items = lists.iter().flat_map(|list| match list {
        Value::List(items) => items.to_vec(),
        _ => Vec::new(),
    });
    items.map(|item| item.printed()).collect()
}

fn params(name: &Value, subjects: Vec<String>, days: &Value) -> Result<CertificateParams, Failure> {
    let days = sprig::args::int_of(&days.to_plain());
    let days = u32::try_from(days.clamp(0, DAYS)).unwrap_or(0);
    let made = CertificateParams::new(subjects);
    let mut wanted = made.map_err(|error| wrong("a name of the certificate", &error))?;
    wanted.distinguished_name.push(DnType::CommonName, name.printed());
    wanted.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    wanted.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let now = SystemTime::now();
    wanted.not_before = now.into();
    wanted.not_after = (now + DAY * days).into();
    Ok(wanted)
}
