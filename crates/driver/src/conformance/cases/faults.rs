//! F: providers that fail.

use http::StatusCode;

use crate::conformance::case::{Case, case};
use crate::conformance::proxy::{Fate, Rule};
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, Problem, ensure};

pub(super) const CASES: &[Case] = &[
    case!(
        "F1",
        "makes its machine when the provider was busy or down for a while",
        storms
    ),
    case!(
        "F5",
        "bears answers that are none of the provider's",
        strange_answers
    ),
];

async fn storms(subject: &Subject) -> Checked {
    let (proxy, scope) = subject.proxied().await?;
    let driven = subject.start().await?;
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        for from in 0..4 {
            let mut order = subject.order_in(scope.clone());
            let fate = Fate::Answered(status, "text/plain", "later");
            proxy.follow(Some(Rule { from, count: 5, fate }), None);
            let made = driven.create(&mut order).await;
            proxy.follow(None, None);
            if let Err(Problem::Failed(text)) = made {
                return Err(format!("after five times {status} from request {from}: {text}").into());
            }
            driven.delete(&mut order).await?;
        }
    }
    Ok(())
}

/// A login page of some proxy, half an answer, something of another type, and a redirection.
const STRANGE: [(StatusCode, &str, &str); 5] = [
    (
        StatusCode::OK,
        "text/html",
        "<!DOCTYPE html><title>Log in</title>",
    ),
    (StatusCode::OK, "application/json", "{\"items\": [{\"id\": "),
    (StatusCode::OK, "application/json", "\"\u{0}\u{fffd}\""),
    (StatusCode::FOUND, "text/html", ""),
    (StatusCode::IM_A_TEAPOT, "application/xml", "<a><b><c/></b></a>"),
];

async fn strange_answers(subject: &Subject) -> Checked {
    let (proxy, scope) = subject.proxied().await?;
    let driven = subject.start().await?;
    let mut order = subject.order_in(scope.clone());
    driven.create(&mut order).await?;
    for (status, kind, body) in STRANGE {
        for from in 0..4 {
            let fate = Fate::Answered(status, kind, body);
            proxy.follow(Some(Rule { from, count: 1, fate }), None);
            let mut another = subject.order_in(scope.clone());
            // Errors are fine; what counts is what is there in the end.
            let _ = driven.create_once(&mut another).await;
            let seen = driven.get(&order).await;
            let phase = seen
                .as_ref()
                .map_or(crate::v1::Phase::Running, crate::v1::MachineStatus::phase);
            ensure!(
                phase == crate::v1::Phase::Running,
                "after {status} with {body:?} a machine that runs has phase {}",
                phase.as_str_name()
            );
            proxy.follow(None, None);
            driven.create(&mut another).await?;
            driven.delete(&mut another).await?;
        }
    }
    driven.process.health(subject.settings.start_limit).await?;
    Ok(())
}
