//! The run of all cases.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::case::Case;
use super::cases;
use super::hooks::PeerHooks;
use super::parameters::Parameters;
use super::report::{Report, Row};
use super::subject::Subject;
use super::verdict::{Problem, Verdict};
use crate::supervisor::{DriverConfiguration, DriverLog, DriverProcess, StartError, SupervisorSettings};

/// Longest time for one case.
const CASE_LIMIT: Duration = Duration::from_hours(1);

/// Which cases are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// Those of these ids, or of these groups by their letter.
    Only(Vec<String>),
}

impl Selection {
    fn holds(&self, case: &Case) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.iter().any(|id| {
                case.id.eq_ignore_ascii_case(id)
                    || (id.len() == 1
                        && case
                            .id
                            .get(..1)
                            .is_some_and(|group| group.eq_ignore_ascii_case(id)))
            }),
        }
    }
}

/// Runs cases one after the other; `progress` hears of each when it has ended.
///
/// # Errors
/// When the driver can't even be started, so that no case says anything.
pub async fn run(
    driver: DriverConfiguration,
    settings: SupervisorSettings,
    parameters: Parameters,
    hooks: Option<Arc<dyn PeerHooks>>,
    selection: &Selection,
    mut progress: impl FnMut(&Row),
) -> Result<Report, StartError> {
    let log = Arc::new(DriverLog::default());
    let process = DriverProcess::start(&driver, &settings, &log).await?;
    let info = process.info().clone();
    process.stop(&settings).await;
    let name = format!("{} {}", info.name, info.version);
    let subject = Subject::new(driver, settings, parameters, hooks, (info, log));
    let mut rows = Vec::new();
    for case in cases::all().filter(|case| selection.holds(case)) {
        let row = Row {
            id: case.id,
            title: case.title,
            verdict: carry_out(case, &subject).await,
        };
        progress(&row);
        rows.push(row);
    }
    Ok(Report { driver: name, rows })
}

async fn carry_out(case: Case, subject: &Subject) -> Verdict {
    let checked = timeout(CASE_LIMIT, (case.run)(subject)).await;
    let cleaned = subject.clean_up().await;
    match checked {
        Err(_) => Verdict::Failed(format!("no end after {} min", CASE_LIMIT.as_secs() / 60)),
        Ok(Err(Problem::Failed(why))) => Verdict::Failed(why),
        Ok(Err(Problem::NotRun(why))) => Verdict::NotRun(why),
        Ok(Ok(())) => match cleaned {
            Ok(()) => Verdict::Passed,
            Err(why) => Verdict::Failed(format!("what it has made can't be removed: {why}")),
        },
    }
}
