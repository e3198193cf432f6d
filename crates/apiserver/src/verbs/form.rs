//! The form in which one object goes out, the same in an answer, a list and a watch.

use bytes::Bytes;
use serde_json::Value;

use crate::call::Call;
use crate::kinds::Found;
use crate::meta::set_meta;
use crate::storage::Stored;
use crate::wire::negotiate::{View, partial};

/// Put by a client in this process into the extensions of its requests: objects come without
/// `metadata.managedFields`, which take a third of an object and which controllers do not read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WithoutManagers;

/// Whole objects, or their metadata, in the version of the request.
#[derive(Debug)]
pub(crate) struct Form {
    found: Found,
    api_version: String,
    metadata_only: bool,
    without_managers: bool,
}

impl Call {
    /// The form that the client asked for; of a table, that of the objects in its rows.
    pub(crate) fn form(&self) -> Form {
        Form {
            found: self.found.clone(),
            api_version: self.found.api_version(),
            metadata_only: self.view == View::Metadata,
            without_managers: self.without_managers,
        }
    }
}

impl Form {
    /// True when its JSON goes out as it is stored, but for its managers.
    fn is_stored(&self, object: &Stored) -> bool {
        let kind = &self.found.kind;
        !self.metadata_only && kind.is_stored_in(&self.api_version, object.api_version())
    }

    /// The object as JSON.
    pub(crate) fn bytes(&self, object: &Stored) -> Bytes {
        if self.is_stored(object) && self.without_managers {
            return object.json_without_managers().clone();
        }
        let mut bytes = Vec::with_capacity(object.bytes);
        self.write(object, &mut bytes);
        bytes.into()
    }

    /// Appends the object as JSON.
    pub(crate) fn write(&self, object: &Stored, to: &mut Vec<u8>) {
        if !self.is_stored(object) {
            let kind = &self.found.kind;
            let object = kind.view_of(&self.found.version().name, &object.value());
            to.extend_from_slice(self.text(object).as_bytes());
        } else if self.without_managers {
            to.extend_from_slice(object.json_without_managers());
        } else {
            object.write(to);
        }
    }

    /// An object in the version of the request as JSON.
    pub(crate) fn text(&self, mut object: Value) -> String {
        if self.without_managers {
            set_meta(&mut object, "managedFields", None);
        }
        if self.metadata_only {
            object = partial(&object);
        }
        object.to_string()
    }
}
