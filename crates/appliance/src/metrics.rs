//! The metrics of everything that runs in the appliance.

#[cfg(test)]
mod tests;

/// Installs the recorder, and describes to it what the crates count.
pub(crate) fn start() {
    telemetry::start_metrics();
    describe();
}

fn describe() {
    apiserver::describe_metrics();
    clusters::describe_metrics();
    dhcp::describe_metrics();
    listeners::describe_metrics();
    netboot::describe_metrics();
    servers::describe_metrics();
    steps::describe_metrics();
    telemetry::describe_metrics();
    tftp::describe_metrics();
}
