//! The way to the appliance's API: which kubeconfig, and what to say when nobody answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cli::Global;
use crate::failure::{Failure, Outcome};

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// The kubeconfig that counts: the flag or `$GANTRY_KUBECONFIG`, else that of the default data directory.
pub(crate) fn kubeconfig(global: &Global) -> PathBuf {
    let default = || Path::new(appliance::DEFAULT_DATA).join(appliance::ADMIN_KUBECONFIG);
    global.kubeconfig.clone().unwrap_or_else(default)
}

/// A client whose server has answered.
pub(crate) async fn connect(global: &Global) -> Outcome<Client> {
    tell(global.verbosity);
    let path = kubeconfig(global);
    if !path.exists() {
        return Err(no_server(&path, "there is no such file"));
    }
    let file = Kubeconfig::read_from(&path)
        .map_err(|error| Failure::BadInput(format!("{}: {error}", path.display())))?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|error| Failure::BadInput(format!("{}: {error}", path.display())))?;
    config.connect_timeout = Some(CONNECT);
    let url = config.cluster_url.clone();
    let client = Client::try_from(config)?;
    match tokio::time::timeout(ANSWER, client.apiserver_version()).await {
        Ok(Ok(_)) => Ok(client),
        Ok(Err(kube::Error::Api(status))) => Err(Failure::text(format!(
            "{url} refuses: {}; is {} of this server?",
            status.message,
            path.display()
        ))),
        Ok(Err(error)) => Err(no_server(
            &path,
            &format!("{url} does not answer: {}", causes::line(&error)),
        )),
        Err(_) => Err(no_server(
            &path,
            &format!("{url} does not answer within {} s", ANSWER.as_secs()),
        )),
    }
}

/// Logs to standard error. Never more than requests: what lies below them would show what they carry.
fn tell(verbosity: u8) {
    let level = match verbosity {
        0 => return,
        1..=3 => tracing::Level::INFO,
        4.. => tracing::Level::DEBUG,
    };
    let log = tracing_subscriber::fmt().with_max_level(level);
    // A second connection of the same command finds it set up.
    let _ = log.with_writer(std::io::stderr).try_init();
}

fn no_server(path: &Path, reason: &str) -> Failure {
    Failure::NoServer(format!(
        "no appliance found with kubeconfig {}: {reason}.\nStart one:   gantry serve\nor name one: gantry \
         --kubeconfig FILE ... (or $GANTRY_KUBECONFIG)",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_server_the_command_that_starts_one_is_told() {
        let global = Global {
            kubeconfig: Some(PathBuf::from("/nonexistent/kubeconfig")),
            verbosity: 0,
        };
        let failure = connect(&global).await.err().unwrap();
        assert!(matches!(failure, Failure::NoServer(_)));
        assert!(failure.to_string().contains("gantry serve"), "{failure}");
    }
}
