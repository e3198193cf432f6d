//! The Server that a BMC belongs to.

use kube::api::ListParams;
use kube::{Api, Client};
use resources::gantry::Server;

use crate::Error;

/// The Server of this namespace whose BMC has this name.
pub(crate) async fn of_bmc(client: &Client, namespace: &str, bmc: &str) -> Result<Option<Server>, Error> {
    let servers: Api<Server> = Api::namespaced(client.clone(), namespace);
    let found = servers
        .list(&ListParams::default().fields(&format!("spec.bmc={bmc}")))
        .await;
    let found = found.map_err(Error::listing("Servers"))?;
    Ok(found.items.into_iter().next())
}
