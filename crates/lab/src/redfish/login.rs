//! Who may use a BMC: basic authentication or a session's token.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resources::Secret;

/// As on small BMCs, few sessions at once; the oldest goes when one more is opened.
const MAX_SESSIONS: usize = 16;

/// One user and the open sessions.
#[derive(Debug)]
pub(super) struct Login {
    user: String,
    password: Secret<String>,
    sessions: Mutex<BTreeMap<u64, Secret<String>>>,
}

impl Login {
    pub(super) fn new(user: String, password: Secret<String>) -> Self {
        Self {
            user,
            password,
            sessions: Mutex::default(),
        }
    }

    pub(super) fn accepts(&self, user: &str, password: &str) -> bool {
        user == self.user && password == self.password.reveal()
    }

    /// The user that the two headers stand for.
    pub(super) fn user(&self, authorization: Option<&str>, token: Option<&str>) -> Option<String> {
        let by_password = authorization
            .and_then(basic)
            .is_some_and(|(user, password)| self.accepts(&user, &password));
        let by_token = || {
            let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            token.is_some_and(|token| sessions.values().any(|held| held.reveal() == token))
        };
        (by_password || by_token()).then(|| self.user.clone())
    }

    /// Opens a session: its number and token.
    pub(super) fn open(&self) -> (u64, String) {
        let token = format!("{:032x}", rand::random::<u128>());
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let number = sessions.last_key_value().map_or(1, |(number, _)| number + 1);
        while sessions.len() >= MAX_SESSIONS {
            sessions.pop_first();
        }
        sessions.insert(number, Secret::new(token.clone()));
        (number, token)
    }

    pub(super) fn close(&self, number: u64) -> bool {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number)
            .is_some()
    }
}

/// User and password of an `Authorization: Basic` header (RFC 7617).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins() {
        let login = Login::new("ops".to_owned(), Secret::new("fake:pass".to_owned()));
        let header = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(
            login.user(Some(&header("ops:fake:pass")), None).as_deref(),
            Some("ops")
        );
        for bad in [
            header("ops:fake"),
            header("x:fake:pass"),
            "Basic !".to_owned(),
            "Bearer x".to_owned(),
            String::new(),
        ] {
            assert_eq!(login.user(Some(&bad), None), None, "{bad}");
        }
        let (number, token) = login.open();
        assert!(login.user(None, Some(&token)).is_some());
        assert!(login.user(None, Some("")).is_none());
        assert!(login.close(number) && !login.close(number));
        assert!(login.user(None, Some(&token)).is_none());
        let first = login.open();
        for _ in 0..MAX_SESSIONS {
            login.open();
        }
        assert!(login.user(None, Some(&first.1)).is_none());
    }
}
