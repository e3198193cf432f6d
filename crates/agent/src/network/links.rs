//! Links, addresses and routes through rtnetlink.

use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::Error;
use crate::inventory::Nic;

/// Runs `work` with a connection to the kernel.
async fn with_kernel<T>(work: impl AsyncFnOnce(Handle) -> Result<T, Error>) -> Result<T, Error> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::kernel("opening rtnetlink"))?;
    let task = tokio::spawn(connection);
    let result = work(handle).await;
    task.abort();
    result
}

fn failed(operation: String) -> impl FnOnce(rtnetlink::Error) -> Error {
    move |source| Error::Netlink { operation, source }
}

/// Sets all cards up.
pub(super) async fn up(nics: &[Nic]) -> Result<(), Error> {
    with_kernel(async |handle| {
        for nic in nics {
            let message = LinkUnspec::new_with_index(nic.index).up().build();
            let set = handle.link().set(message).execute().await;
            set.map_err(failed(format!("setting {} up", nic.name)))?;
        }
        Ok(())
    })
    .await
}

/// Gives the card its address and the way out. What is there already stays.
pub(super) async fn configure(
    nic: &Nic,
    address: Ipv4Addr,
    prefix: u8,
    router: Option<Ipv4Addr>,
) -> Result<(), Error> {
    with_kernel(async |handle| {
        let add = handle
            .address()
            .add(nic.index, IpAddr::V4(address), prefix)
            .execute()
            .await;
        unless_there(add).map_err(failed(format!("setting the address of {}", nic.name)))?;
        if let Some(router) = router {
            let route = RouteMessageBuilder::<Ipv4Addr>::new()
                .gateway(router)
                .output_interface(nic.index)
                .build();
            let add = handle.route().add(route).execute().await;
            unless_there(add).map_err(failed(format!("setting the default route to {router}")))?;
        }
        Ok(())
    })
    .await
}

fn unless_there(result: Result<(), rtnetlink::Error>) -> Result<(), rtnetlink::Error> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == -nix::libc::EEXIST => Ok(()),
        other => other,
    }
}
