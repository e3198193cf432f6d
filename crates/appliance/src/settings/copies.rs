//! The settings of copies of snapshots outside of the appliance.

use std::path::{Path, PathBuf};

use super::parse::{optional_path, path};

/// Where snapshots are copied to, and how they are sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotCopySettings {
    /// Where they lie; none where nothing is copied.
    pub place: Option<CopyPlace>,
    /// How many of each cluster are kept there.
    pub kept: u32,
    /// File with the key that seals them.
    pub key: Option<PathBuf>,
    /// URL of the store of a bucket.
    pub endpoint: Option<String>,
    /// Region of a bucket.
    pub region: String,
    /// Where the key for a bucket is.
    pub credentials: Option<StoreKey>,
    /// File with the authorities of the store's certificate.
    pub authorities: Option<PathBuf>,
}

/// Where copies lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyPlace {
    /// A directory.
    Directory(PathBuf),
    /// A bucket and what its keys begin with.
    Bucket(String, String),
}

/// Where the key for a bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKey {
    /// In a file as AWS' tools have it.
    File(PathBuf),
    /// In the environment of the appliance.
    Environment,
    /// In a Secret of the appliance's API, by namespace and name.
    Secret(String, String),
}

/// `FILE`, `env` or `secret:NAMESPACE/NAME`.
pub(super) fn store_key(text: &str) -> Result<Option<StoreKey>, String> {
    if text == "env" {
        return Ok(Some(StoreKey::Environment));
    }
    let Some(rest) = text.strip_prefix("secret:") else {
        return optional_path(text).map(|path| path.map(StoreKey::File));
    };
    match rest.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Some(StoreKey::Secret(namespace.to_owned(), name.to_owned())))
        }
        _ => Err("it must be an absolute path, env, or secret:NAMESPACE/NAME".to_owned()),
    }
}

/// `DIR` or `s3://BUCKET/PREFIX`.
pub(super) fn place(text: &str) -> Result<Option<CopyPlace>, String> {
    let Some(rest) = text.strip_prefix("s3://") else {
        return match text {
            "" => Ok(None),
            text => path(text).map(|path| Some(CopyPlace::Directory(path))),
        };
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("it must be an absolute path, or s3://BUCKET/PREFIX".to_owned());
    }
    let prefix = prefix.trim_matches('/');
    Ok(Some(CopyPlace::Bucket(bucket.to_owned(), prefix.to_owned())))
}

impl SnapshotCopySettings {
    pub(super) fn contradictions(&self, data: &Path) -> Vec<String> {
        let Some(place) = &self.place else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        if self.key.is_none() {
            faults.push(
                "`etcdSnapshotCopies` needs `etcdSnapshotKeyFile`: copies are sealed with a key that you keep".to_owned(),
            );
        }
        let inside = |path: &Path| path.starts_with(data);
        if self.key.as_deref().is_some_and(inside) {
            faults.push("`etcdSnapshotKeyFile` lies in `data`: choose another folder".to_owned());
        }
        match place {
            CopyPlace::Directory(path) if inside(path) => {
                faults.push("`etcdSnapshotCopies` lies in `data`, and would be lost with it".to_owned());
            }
            CopyPlace::Bucket(..) if self.credentials.is_none() => {
                faults.push("`etcdSnapshotCopies` in a bucket needs `etcdSnapshotS3Credentials`".to_owned());
            }
            _ => {}
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_bucket() {
        let bucket =
            |name: &str, prefix: &str| Ok(Some(CopyPlace::Bucket(name.to_owned(), prefix.to_owned())));
        assert_eq!(place(""), Ok(None));
        assert_eq!(place("/mnt/x"), Ok(Some(CopyPlace::Directory("/mnt/x".into()))));
        assert_eq!(place("s3://b"), bucket("b", ""));
        assert_eq!(place("s3://b/a/c/"), bucket("b", "a/c"));
        for wrong in ["x", "s3://", "s3:///x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_key_of_a_bucket_is_in_a_file_the_environment_or_a_secret() {
        let secret = StoreKey::Secret("eksa-system".to_owned(), "s3".to_owned());
        assert_eq!(store_key(""), Ok(None));
        assert_eq!(store_key("env"), Ok(Some(StoreKey::Environment)));
        assert_eq!(store_key("/etc/x"), Ok(Some(StoreKey::File("/etc/x".into()))));
        assert_eq!(store_key("secret:eksa-system/s3"), Ok(Some(secret)));
        for wrong in [
            "x",
            "secret:",
            "secret:s3",
            "secret:/s3",
            "secret:a/",
            "secret:a/b/c",
        ] {
            assert!(store_key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lost_disk_takes_neither_copies_nor_key() {
        let faults = |place: &str, key: Option<&str>, credentials: Option<&str>| {
            let settings = SnapshotCopySettings {
                place: super::place(place).unwrap(),
                key: key.map(PathBuf::from),
                credentials: credentials.map(|file| StoreKey::File(file.into())),
                ..SnapshotCopySettings::default()
            };
            settings.contradictions(Path::new("/data")).join("\n")
        };
        assert_eq!(faults("", None, None), "");
        assert_eq!(faults("/mnt/x", Some("/k"), None), "");
        assert_eq!(faults("s3://b", Some("/k"), Some("/c")), "");
        assert!(faults("/mnt/x", None, None).contains("needs `etcdSnapshotKeyFile`"));
        assert!(faults("/data/x", Some("/k"), None).contains("lost with it"));
        assert!(faults("/mnt/x", Some("/data/k"), None).contains("choose another folder"));
        assert!(faults("s3://b", Some("/k"), None).contains("needs `etcdSnapshotS3Credentials`"));
    }
}
