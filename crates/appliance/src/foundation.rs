//! What is open before any task runs: directory and keys, databases, and the API in process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use apiserver::{ApiServer, RecordKind};
use jiff::Timestamp;
use pki::{KeyDir, SiteCa};
use resources::{Secret, keys};
use sealed_files::SealedFiles;
use store::DataDir;
use store::records::{Keep, Records};

use crate::error::Error;
use crate::parts::Parts;
use crate::settings::Settings;
use crate::{admission, credentials, plugin_drivers};

/// Folder of the data directory for files that hold secrets and are too big for the database.
pub(crate) const SEALED_FILES: &str = "sealed-files";

/// Folder of the data directory for a backup that is not in its place yet.
pub(crate) const RESTORE_FOLDER: &str = "restore.partial";

/// Everything that is open before any task runs.
pub(crate) struct Foundation {
    pub(crate) settings: Settings,
    pub(crate) ca: Arc<SiteCa>,
    pub(crate) records: Records,
    pub(crate) api: ApiServer,
    pub(crate) parts: Option<Parts>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) token: Secret<String>,
    pub(crate) sealed_files: SealedFiles,
    // Last, so that the lock is the last thing to go.
    data: DataDir,
}

impl Foundation {
    /// Opens what the settings name; fails when another process has it open.
    pub(crate) async fn open(settings: Settings) -> Result<Foundation, Error> {
        let store = |source| Error::Store {
            path: settings.data.clone(),
            source,
        };
        let keys_failed = |source| Error::Keys {
            path: settings.key_dir.clone(),
            source,
        };
        let parts = settings.parts.as_deref().map(Parts::open).transpose()?;
        let data = DataDir::lock(&settings.data).map_err(store)?;
        if data.file(RESTORE_FOLDER).exists() {
            return Err(Error::RestoreInterrupted {
                path: settings.data.clone(),
            });
        }
        let keys = KeyDir::open(&settings.key_dir).map_err(keys_failed)?;
        let ca = SiteCa::load_or_create(&keys, &settings.site, Timestamp::now()).map_err(keys_failed)?;
        let sealer = pki::Sealer::load_or_create(&keys).map_err(keys_failed)?;
        let token = credentials::admin_token(&keys)?;
        let metrics_token = credentials::metrics_token(&keys)?;
        let records = Records::open_with(
            data.file("records.db"),
            Keep {
                machine: settings.records_per_machine,
                ..Keep::default()
            },
        )
        .await
        .map_err(store)?;
        let seal = Arc::new(Seal(sealer));
        let sealed_files =
            SealedFiles::open(data.file(SEALED_FILES), seal.clone()).map_err(Error::SealedFiles)?;
        let mut config = apiserver::Config::new(data.file("state.db"), seal);
        config.tokens = vec![
            (
                token.reveal().clone(),
                apiserver::Identity::admin(credentials::ADMIN),
            ),
            (metrics_token.reveal().clone(), credentials::monitoring()),
        ];
        config.roles = vec![credentials::monitoring_role()];
        config.exposition = Some(telemetry::exposition);
        config.definitions = resources::crds();
        config.conversions = vec![resources::cluster_api::v1beta1::conversion().into()];
        config.namespaces = vec![keys::DEFAULT_NAMESPACE.to_owned()];
        config.admission = admission::HOOKS.to_vec();
        config.records = Some((records.clone(), record_kinds()));
        let api = ApiServer::open(config).await.map_err(Error::Api)?;
        let kubeconfig = data.file(crate::ADMIN_KUBECONFIG);
        Ok(Foundation {
            ca: Arc::new(ca),
            settings,
            records,
            api,
            parts,
            kubeconfig,
            token,
            sealed_files,
            data,
        })
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Closes the databases, then gives up the lock on the directory.
    pub(crate) async fn close(self) {
        self.api.close().await;
        self.records.close().await;
        drop(self.data);
    }
}

/// The records that the API shows.
fn record_kinds() -> Vec<RecordKind> {
    let kind = |kind: &str, plural: &str, columns: &[(&str, &str)]| RecordKind {
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        columns: columns
            .iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect(),
    };
    vec![
        kind("BootEvent", "bootevents", &[("Kind", ".kind"), ("Text", ".text")]),
        kind(
            "ActionLog",
            "actionlogs",
            &[("Action", ".action"), ("Percent", ".percent"), ("Text", ".text")],
        ),
        kind(
            plugin_drivers::LOG_KIND,
            "driverlogs",
            &[("Level", ".level"), ("Text", ".text")],
        ),
    ]
}

/// The site's sealing key as the API server and the sealed files want it.
#[derive(Debug)]
pub(crate) struct Seal(pub(crate) pki::Sealer);

impl apiserver::Sealer for Seal {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, apiserver::SealError> {
        self.0
            .seal(plain, &String::from_utf8_lossy(context))
            .map_err(|_| apiserver::SealError)
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, apiserver::SealError> {
        self.0
            .open(sealed, &String::from_utf8_lossy(context))
            .map_err(|_| apiserver::SealError)
    }
}

impl sealed_files::Sealer for Seal {
    fn overhead(&self) -> usize {
        pki::Sealer::OVERHEAD
    }

    fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, sealed_files::SealError> {
        let sealed = self.0.seal(plain, context);
        sealed.map_err(|_| sealed_files::SealError)
    }

    fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, sealed_files::SealError> {
        let plain = self.0.open(sealed, context);
        plain.map_err(|_| sealed_files::SealError)
    }
}
