//! The schemas of drivers, asked for once of each process, and the defaults in them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use driver::v1::plugin_client::PluginClient;
use driver::v1::{GetSchemaRequest, Reason, Scope, Spec};
use driver::{Fault, json};
use prost_types::Struct;
use serde_json::Value;
use tonic::transport::Channel;

use crate::defaults::fill;
use crate::drivers::PluginDriver;

/// Schemas of what is sent with calls.
struct Schemas {
    scope: Value,
    machine: Value,
}

/// Schemas, and the process that gave them.
struct Known {
    process: Option<u32>,
    schemas: Arc<Schemas>,
}

/// The schemas of each driver.
#[derive(Default)]
pub(super) struct KnownSchemas(Mutex<HashMap<String, Known>>);

impl KnownSchemas {
    /// Fills the defaults in, as the contract wants it.
    pub(super) async fn fill(
        &self,
        driver: &PluginDriver,
        channel: &Channel,
        scope: &mut Scope,
        specs: &mut [Spec],
    ) -> Result<(), Fault> {
        let schemas = self.of(driver, channel).await?;
        filled(&mut scope.config, &schemas.scope);
        for spec in specs {
            filled(&mut spec.provider, &schemas.machine);
        }
        Ok(())
    }

    async fn of(&self, driver: &PluginDriver, channel: &Channel) -> Result<Arc<Schemas>, Fault> {
        let process = driver.supervisor.status().pid;
        if let Some(known) = self.known(&driver.name, process) {
            return Ok(known);
        }
        // Nothing is asked of the provider.
        let answer = PluginClient::new(channel.clone())
            .get_schema(GetSchemaRequest {})
            .await;
        let answer = answer
            .map_err(|status| Fault::from(&status).without_effect())?
            .into_inner();
        let read = |what: &str, text: &str| {
            serde_json::from_str(text).map_err(|error| {
                let message = format!("the driver's {what} schema is no JSON: {error}");
                Fault::new(Reason::Bug, message).without_effect()
            })
        };
        let schemas = Arc::new(Schemas {
            scope: read("scope", &answer.scope_schema)?,
            machine: read("machine", &answer.machine_schema)?,
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Known {
            process,
            schemas: Arc::clone(&schemas),
        };
        all.insert(driver.name.clone(), known);
        Ok(schemas)
    }

    fn known(&self, driver: &str, process: Option<u32>) -> Option<Arc<Schemas>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(driver)?;
        (known.process == process && process.is_some()).then(|| Arc::clone(&known.schemas))
    }
}

fn filled(message: &mut Option<Struct>, schema: &Value) {
    let mut object = message.as_ref().map(json::from_struct).unwrap_or_default();
    fill(&mut object, schema);
    *message = Some(json::to_struct(&object));
}
