//! The way to the appliance's API: which kubeconfig, and what to say when nobody answers.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::api::PatchParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use resources::keys;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::kubeconfig_error;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// The kubeconfig that counts: the flag or `$GANTRY_KUBECONFIG`, else that of the default data directory.
pub(crate) fn kubeconfig(global: &Global) -> PathBuf {
    let default = || Path::new(appliance::DEFAULT_DATA).join(appliance::ADMIN_KUBECONFIG);
    global.kubeconfig.clone().unwrap_or_else(default)
}

/// How the command line changes single fields of an object.
pub(crate) fn patch_params() -> PatchParams {
    PatchParams {
        field_manager: Some(keys::MANAGER_CLI.to_owned()),
        ..PatchParams::default()
    }
}

/// A client whose server has answered.
pub(crate) async fn connect(global: &Global) -> Outcome<Client> {
    tell(global.verbosity);
    let path = kubeconfig(global);
    std::fs::File::open(&path).map_err(|error| unreadable(&path, &error))?;
    let broken = |error: &KubeconfigError| {
        let reason = kubeconfig_error::reason(error);
        Failure::BadInput(format!("kubeconfig {}: {reason}", path.display()))
    };
    let file = Kubeconfig::read_from(&path).map_err(|error| broken(&error))?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|error| broken(&error))?;
    config.connect_timeout = Some(CONNECT);
    let url = config.cluster_url.clone();
    // The cause could quote a key.
    let client = Client::try_from(config).map_err(|_| {
        Failure::BadInput(format!(
            "kubeconfig {}: its certificates or credentials cannot be used",
            path.display()
        ))
    })?;
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

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let place = path.display();
    match error.kind() {
        ErrorKind::NotFound => no_server(path, "there is no such file"),
        ErrorKind::PermissionDenied => Failure::text(format!(
            "kubeconfig {place}: you may not read it; it holds the administrator's token and belongs to the user who runs \
             gantry serve.\nRun the command as that user, or make a copy of your own:\n  sudo install -m 0600 -o \
             \"$(id -un)\" {place} ~/gantry.kubeconfig\n  export GANTRY_KUBECONFIG=~/gantry.kubeconfig"
        )),
        _ => Failure::text(format!("kubeconfig {place}: {error}")),
    }
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

    #[test]
    fn a_file_that_one_may_not_read_is_not_called_missing() {
        let error = io::Error::from(ErrorKind::PermissionDenied);
        let text = unreadable(Path::new("/var/lib/gantry/admin.kubeconfig"), &error).to_string();
        assert!(text.contains("you may not read it"), "{text}");
        assert!(
            text.contains(
                "sudo install -m 0600 -o \"$(id -un)\" /var/lib/gantry/admin.kubeconfig ~/gantry.kubeconfig"
            ),
            "{text}"
        );
    }

    const CANARY: &str = "FAKE-TOKEN-CANARY";

    #[tokio::test]
    async fn no_error_shows_what_is_in_a_kubeconfig() {
        let whole = |user: &str, cluster: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: k, user: \
                 u}}\nclusters:\n- name: k\n  cluster: {{server: \"{cluster}\"}}\nusers:\n- name: u\n  user:\n    {user}\n"
            )
        };
        let https = "https://192.0.2.1:6443";
        for (case, text) in [
            (
                "indentation",
                whole(&format!("token: {CANARY}\n   x: : y"), https),
            ),
            ("an open quote", whole(&format!("token: \"{CANARY}"), https)),
            ("a wrong type", whole(&format!("exec: {CANARY}"), https)),
            ("a list for a text", whole(&format!("token: [{CANARY}]"), https)),
            ("a scalar", CANARY.to_owned()),
            (
                "no base64",
                whole(&format!("client-key-data: \"{CANARY}!\""), https),
            ),
            (
                "a key that is none",
                // The canary in base64.
                whole(
                    "client-certificate-data: RkFLRS1UT0tFTi1DQU5BUlk=\n    client-key-data: RkFLRS1UT0tFTi1DQU5BUlk=",
                    https,
                ),
            ),
            (
                "a URL that is none",
                whole("token: x", &format!("https://{CANARY} /")),
            ),
            (
                "a context that is not there",
                format!("current-context: {CANARY}\ncontexts: []\n"),
            ),
            ("nothing", String::new()),
        ] {
            if ["indentation", "a wrong type"].contains(&case) {
                let quoted = Kubeconfig::from_yaml(&text).unwrap_err().to_string();
                assert!(
                    quoted.contains(CANARY),
                    "the library's own text quotes the file: {quoted}"
                );
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config");
            std::fs::write(&path, text).unwrap();
            let global = Global {
                kubeconfig: Some(path.clone()),
                verbosity: 0,
            };
            let failure = connect(&global).await.err().unwrap();
            let said = format!("{failure} {failure:?}");
            assert!(said.contains(&path.display().to_string()), "{case}: {said}");
            assert!(
                !said.contains("CANARY") && !said.contains("RkFLRS"),
                "{case}: {said}"
            );
            assert!(matches!(failure, Failure::BadInput(_)), "{case}: {said}");
        }
    }
}
