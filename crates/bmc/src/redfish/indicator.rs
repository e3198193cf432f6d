//! The identify light: `LocationIndicatorActive`, or `IndicatorLED` of older services, of the system or of its chassis.

use http::Method;
use resources::bmc::Indicator;
use serde_json::{Value, json};

use super::Redfish;
use crate::Error;

const ACTIVE: &str = "LocationIndicatorActive";
const LED: &str = "IndicatorLED";
const LED_VALUES: &str = "IndicatorLED@Redfish.AllowableValues";

/// Whether the light of a resource is on; `None` where it has none.
pub(super) fn shown(document: &Value) -> Option<bool> {
    if let Some(active) = document.get(ACTIVE).and_then(Value::as_bool) {
        return Some(active);
    }
    match document.get(LED)?.as_str()? {
        "Lit" | "Blinking" => Some(true),
        "Off" => Some(false),
        // A service that does not know how its light is now may be able to switch it.
        "Unknown" => Some(false),
        _ => None,
    }
}

/// The change that switches it.
fn patch(document: &Value, light: Indicator) -> Value {
    let on = light == Indicator::On;
    if document.get(ACTIVE).is_some_and(Value::is_boolean) {
        return json!({ ACTIVE: on });
    }
    let offered = document.get(LED_VALUES).and_then(Value::as_array);
    let has = |word: &str| offered.is_none_or(|values| values.iter().any(|value| value == word));
    let word = match on {
        false => "Off",
        true if has("Blinking") => "Blinking",
        true => "Lit",
    };
    json!({ LED: word })
}

impl Redfish {
    pub(super) async fn send_identify(&self, light: Indicator) -> Result<(), Error> {
        let system = self.system_document().await?;
        let Some((path, document)) = self.light(&system).await? else {
            return Err(self.missing(
                "identify light",
                "neither system nor chassis has LocationIndicatorActive or IndicatorLED",
            ));
        };
        let etag = document.get("@odata.etag").and_then(Value::as_str);
        self.transport
            .send(Method::PATCH, &path, &patch(&document, light), etag)
            .await?;
        let after = shown(&self.document(&path).await?);
        if after == Some(light == Indicator::On) {
            return Ok(());
        }
        let word = |on: bool| if on { "on" } else { "off" };
        Err(Error::LightNotSet {
            host: self.transport.host().to_owned(),
            wanted: word(light == Indicator::On),
            shown: after.map_or("unknown", word).to_owned(),
        })
    }

    /// Path and document of the first resource that has a light.
    pub(super) async fn light(&self, system: &Value) -> Result<Option<(String, Value)>, Error> {
        if shown(system).is_some() {
            return Ok(Some((self.service().await?.system_path.clone(), system.clone())));
        }
        for chassis in self.chassis(system, &mut Vec::new()).await? {
            let path = chassis
                .get("@odata.id")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if let (Some(path), Some(_)) = (path, shown(&chassis)) {
                return Ok(Some((self.transport.local(&path)?, chassis)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_either_property() {
        for (document, is_on, on) in [
            (
                json!({ACTIVE: false, LED: "Off"}),
                Some(false),
                json!({ACTIVE: true}),
            ),
            (json!({LED: "Lit"}), Some(true), json!({LED: "Blinking"})),
            (
                json!({ACTIVE: null, LED: "Off", LED_VALUES: ["Lit", "Off"]}),
                Some(false),
                json!({LED: "Lit"}),
            ),
            (json!({LED: null}), None, json!({LED: "Blinking"})),
            (json!({}), None, json!({LED: "Blinking"})),
        ] {
            assert_eq!(shown(&document), is_on, "{document}");
            assert_eq!(patch(&document, Indicator::On), on, "{document}");
        }
        assert_eq!(patch(&json!({LED: "Lit"}), Indicator::Off), json!({LED: "Off"}));
    }
}
