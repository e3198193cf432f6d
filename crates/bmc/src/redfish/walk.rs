//! From a resource to those that it refers to, with limits: pages that lead back, members that never end, and members
//! that cannot be read are noted, and the rest is used.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::Redfish;
use super::loose::{link, links};
use crate::Error;
use crate::reading_limit::ReadingLimit;

/// More chassis or managers than this are not looked at.
const MAX_PARTS: usize = 16;
/// More pages of a collection than this are not read.
const MAX_PAGES: usize = 256;

/// One page of a collection. Members are references or whole resources.
#[derive(Debug, Deserialize)]
struct Page {
    #[serde(rename = "Members", default)]
    members: Vec<Value>,
    #[serde(rename = "Members@odata.nextLink", default)]
    next: Option<String>,
}

/// Whether an error is about one resource and not about the BMC.
pub(super) fn is_of_one(error: &Error) -> bool {
    matches!(
        error,
        Error::Status { .. }
            | Error::Malformed { .. }
            | Error::ForeignReference { .. }
            | Error::TooLong { .. }
            | Error::Redirect { .. }
    )
}

impl Redfish {
    pub(super) async fn document(&self, reference: &str) -> Result<Value, Error> {
        self.transport.get(&self.transport.local(reference)?).await
    }

    /// The members of a collection as documents. `what` is what they are called in notes.
    pub(super) async fn members(
        &self,
        collection: &str,
        what: &'static str,
        most: usize,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Value>, Error> {
        let (mut limit, mut pages, mut members) =
            (ReadingLimit::new(what, most), HashSet::new(), HashSet::new());
        let mut found = Vec::new();
        let mut next = Some(collection.to_owned());
        while let Some(path) = next {
            if pages.len() >= MAX_PAGES || !pages.insert(path.clone()) {
                notes.push(format!("the pages of {what} have no end"));
                break;
            }
            let page: Page = self.transport.get(&self.transport.local(&path)?).await?;
            for member in page.members {
                if let Err(why) = limit.next() {
                    notes.push(why);
                    return Ok(found);
                }
                let reference = member.get("@odata.id").and_then(Value::as_str);
                if reference.is_some_and(|path| !members.insert(path.to_owned())) {
                    continue;
                }
                match self.whole(&member).await {
                    Ok(document) => found.push(document),
                    Err(error) if is_of_one(&error) => notes.push(error.to_string()),
                    Err(error) => return Err(error),
                }
            }
            next = page.next;
        }
        Ok(found)
    }

    /// A member that is given whole, or what its reference leads to.
    async fn whole(&self, member: &Value) -> Result<Value, Error> {
        let fields = member.as_object().map(|object| object.keys());
        let has_more = fields.is_some_and(|mut keys| keys.any(|key| !key.starts_with('@')));
        match member.get("@odata.id").and_then(Value::as_str) {
            Some(reference) if !has_more => self.document(reference).await,
            _ => Ok(member.clone()),
        }
    }

    /// The chassis that the system is in, or all that there are where it names none.
    pub(super) async fn chassis(&self, system: &Value, notes: &mut Vec<String>) -> Result<Vec<Value>, Error> {
        self.around(system, "Chassis", "Chassis", "chassis", notes).await
    }

    /// The controllers of the system, or all that there are where it names none.
    pub(super) async fn managers(
        &self,
        system: &Value,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Value>, Error> {
        self.around(system, "ManagedBy", "Managers", "managers", notes)
            .await
    }

    async fn around(
        &self,
        system: &Value,
        named: &str,
        root: &str,
        what: &'static str,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Value>, Error> {
        let named = system
            .get("Links")
            .map(|all| links(all, named))
            .unwrap_or_default();
        if named.is_empty() {
            return match link(&self.service().await?.root, root) {
                Some(collection) => self.members(collection, what, MAX_PARTS, notes).await,
                None => Ok(Vec::new()),
            };
        }
        let mut found = Vec::new();
        for reference in named.into_iter().take(MAX_PARTS) {
            match self.document(reference).await {
                Ok(document) => found.push(document),
                Err(error) if is_of_one(&error) => notes.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
