//! What an Image's status says, as pure functions of what happened.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use resources::ImageManifest;
use resources::gantry::{ImageState, ImageStatus};

use crate::Error;

/// How long fetching may take, all tries together.
pub(crate) const FETCH_LIMIT: SignedDuration = SignedDuration::from_mins(60);
/// How often a failed image is looked at again: somebody may have put the right file there.
pub(crate) const AFTER_FAILURE: SignedDuration = SignedDuration::from_mins(5);

/// Fetching goes on since `before` said so, or from now.
pub(crate) fn fetching(before: &ImageStatus, percent: u8, now: Timestamp) -> ImageStatus {
    let since = begun(before, now);
    ImageStatus {
        state: ImageState::Fetching,
        since: Some(Time(since)),
        reason: Some("fetching and measuring the image".to_owned()),
        deadline: Some(Time(since.saturating_add(FETCH_LIMIT).unwrap_or(Timestamp::MAX))),
        percent: Some(percent),
        manifest: None,
    }
}

/// The image can be served. Its chunks stay out of the object: they are in the store.
pub(crate) fn ready(manifest: &ImageManifest, now: Timestamp) -> ImageStatus {
    ImageStatus {
        state: ImageState::Ready,
        since: Some(Time(now)),
        reason: None,
        deadline: None,
        percent: Some(100),
        manifest: Some(ImageManifest {
            chunks: Vec::new(),
            ..manifest.clone()
        }),
    }
}

/// A try failed: another one follows after `pause` if it can help and there is time, else the image has failed.
pub(crate) fn failed(
    before: &ImageStatus,
    error: &Error,
    pause: SignedDuration,
    now: Timestamp,
) -> ImageStatus {
    let since = begun(before, now);
    let deadline = since.saturating_add(FETCH_LIMIT).unwrap_or(Timestamp::MAX);
    let reason = causes::line(error);
    if error.is_retryable() && now < deadline {
        return ImageStatus {
            reason: Some(format!("{reason}; trying again in {} s", pause.as_secs())),
            percent: before.percent,
            ..fetching(before, 0, now)
        };
    }
    ImageStatus {
        state: ImageState::Failed,
        since: Some(Time(now)),
        reason: Some(format!(
            "{reason}; it is looked for again every {} min",
            AFTER_FAILURE.as_mins()
        )),
        deadline: None,
        percent: None,
        manifest: None,
    }
}

fn begun(before: &ImageStatus, now: Timestamp) -> Timestamp {
    match (&before.state, &before.since) {
        (ImageState::Fetching, Some(since)) => since.0,
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn short() -> Error {
        Error::Short {
            url: "http://images.test/a".into(),
            got: 1,
            expected: 2,
        }
    }

    #[test]
    fn a_broken_stream_is_tried_again_until_the_deadline() {
        let pause = SignedDuration::from_secs(17);
        let failed = |before: &ImageStatus, error: &Error, now| super::failed(before, error, pause, now);
        let first = failed(&ImageStatus::default(), &short(), at(1000));
        assert!(first.reason.as_ref().unwrap().ends_with("trying again in 17 s"));
        assert_eq!(first.state, ImageState::Fetching);
        assert_eq!(first.deadline, Some(Time(at(1000 + 3600))));
        let again = failed(&first, &short(), at(2000));
        assert_eq!(again.since, first.since);
        let last = failed(&again, &short(), at(1000 + 3600));
        assert_eq!(last.state, ImageState::Failed);
        assert!(last.reason.unwrap().contains("1 of 2 bytes"));
    }

    #[test]
    fn a_wrong_digest_fails_at_once_and_says_both() {
        let digest = |byte| resources::Digest::new([byte; 32]);
        let error = Error::WrongDigest {
            url: "file:///a".into(),
            expected: digest(1),
            said_by: "file:///a.sha256".into(),
            found: digest(2),
        };
        let before = fetching(&ImageStatus::default(), 50, at(5));
        let status = failed(&before, &error, SignedDuration::from_secs(15), at(9));
        assert_eq!(status.state, ImageState::Failed);
        let reason = status.reason.unwrap();
        let (expected, found) = (digest(1).to_string(), digest(2).to_string());
        for part in [
            "file:///a:",
            &found,
            "file:///a.sha256 says",
            &expected,
            "put the right file there",
            "every 5 min",
        ] {
            assert!(reason.contains(part), "{part:?} is missing in: {reason}");
        }
    }
}
