//! The seed of cloud-init's source NoCloud: how a container gets its user data before its system starts.

use bytes::Bytes;
use driver::v1::{Owner, Userdata};
use serde_json::json;

/// Where NoCloud looks, without the slash in front.
const FOLDER: &str = "var/lib/cloud/seed/nocloud";

/// An archive with the seed, to be unpacked at `/`. The user data goes in byte for byte, and only root reads it.
pub(crate) fn archive(owner: &Owner, userdata: Option<&Userdata>) -> std::io::Result<Bytes> {
    let none = Userdata::default();
    let userdata = userdata.unwrap_or(&none);
    let metadata = if userdata.metadata.is_empty() {
        metadata(owner)
    } else {
        userdata.metadata.clone()
    };
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "meta-data", &metadata)?;
    append(&mut archive, "user-data", &userdata.data)?;
    Ok(archive.into_inner()?.into())
}

/// JSON, which is YAML too.
fn metadata(owner: &Owner) -> Vec<u8> {
    let metadata = json!({"instance-id": owner.machine_uid, "local-hostname": owner.machine_name});
    metadata.to_string().into_bytes()
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, data: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, format!("{FOLDER}/{name}"), data)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use driver::v1::{Owner, Userdata};

    use super::{FOLDER, archive};

    fn files(userdata: Option<&Userdata>) -> BTreeMap<String, (u32, Vec<u8>)> {
        let owner = Owner {
            machine_uid: "uid".to_owned(),
            machine_name: "prod-x".to_owned(),
            ..Owner::default()
        };
        let bytes = archive(&owner, userdata).unwrap();
        let mut archive = tar::Archive::new(bytes.as_ref());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            (path, (entry.header().mode().unwrap(), data))
        });
        entries.collect()
    }

    #[test]
    fn user_data_is_in_it_byte_for_byte() {
        let userdata = Userdata {
            data: b"#cloud-config\r\n\0".to_vec(),
            ..Userdata::default()
        };
        let files = files(Some(&userdata));
        let (mode, data) = &files[&format!("{FOLDER}/user-data")];
        assert_eq!((*mode, data), (0o600, &userdata.data));
        let (_, metadata) = &files[&format!("{FOLDER}/meta-data")];
        let metadata: serde_json::Value = serde_json::from_slice(metadata).unwrap();
        assert_eq!(metadata["instance-id"], "uid");
        assert_eq!(metadata["local-hostname"], "prod-x");
    }

    #[test]
    fn metadata_of_the_caller_wins_and_both_files_are_always_there() {
        let userdata = Userdata {
            metadata: b"instance-id: mine\n".to_vec(),
            ..Userdata::default()
        };
        let given = files(Some(&userdata));
        assert_eq!(given[&format!("{FOLDER}/meta-data")].1, userdata.metadata);
        // NoCloud takes a folder for a seed only when both are in it.
        assert_eq!(files(None).len(), 2);
        assert!(files(None)[&format!("{FOLDER}/user-data")].1.is_empty());
    }
}
