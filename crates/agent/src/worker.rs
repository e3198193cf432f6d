//! The loop: ask for the action at hand, carry it out, report. Nothing is decided here but when to ask again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_protocol::HEARTBEAT;
use agent_protocol::v1::next_response::Step;
use agent_protocol::v1::workflows_client::WorkflowsClient;
use agent_protocol::v1::{Action, ActionState, NextRequest, ReportRequest};
use resources::keys::{FACT_DAMAGED_IMAGE, FACT_HOPELESS};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use crate::actions::{ActionContext, Board, Outcome};
use crate::session::{CALL, is_final, spoken};
use crate::{Console, Error, Host, Lease, Session, actions};

/// The other side answers Next within [`agent_protocol::NEXT_WAIT`].
const NEXT: Duration = Duration::from_secs(90);
/// How often progress is looked at.
const TICK: Duration = Duration::from_secs(1);
/// After a cancelled action, the time its thread may take to stop.
const STOPPING: Duration = Duration::from_secs(60);

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The session counts no more: ask for one again.
    ClaimAgain,
    /// Success is reported: leave the installer.
    Leave {
        /// By kexec, else by restarting.
        kexec: bool,
    },
}

/// Works until the session ends or an action leaves the installer.
pub async fn work(
    session: &Arc<Session>,
    host: &Arc<dyn Host>,
    lease: &Arc<Lease>,
    console: &Console,
) -> Ended {
    let worker = Worker {
        session,
        host,
        lease,
        console,
    };
    let mut pause = Duration::from_secs(1);
    loop {
        session.renew_when_due().await;
        let looking = Arc::clone(host);
        let disks = tokio::task::spawn_blocking(move || looking.disks()).await;
        let mut call = Request::new(NextRequest {
            disks: disks.unwrap_or_default(),
        });
        call.set_timeout(NEXT);
        let asked = Instant::now();
        let answer = tokio::time::timeout(NEXT, WorkflowsClient::new(session.channel()).next(call)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        let step = match answer {
            Ok(answer) => answer.into_inner().step,
            Err(status) if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                console.say(format!("the session has ended: {}", status.message()));
                return Ended::ClaimAgain;
            }
            Err(status) => {
                console.say(format!("waiting for the appliance: {}", spoken(&status)));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
                continue;
            }
        };
        lease.renew(asked);
        pause = Duration::from_secs(1);
        match step {
            Some(Step::Action(action)) => {
                if let Some(ended) = worker.carry_out(action).await {
                    return ended;
                }
            }
            Some(Step::Wait(wait)) => console.say(format!("waiting: {}", wait.reason)),
            Some(Step::Finished(finished)) => {
                console.say(format!("the workflow has ended: {}", finished.reason));
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            None => {
                console.say("the appliance's answer is not understood; it may be newer than this installer");
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
        }
    }
}

struct Worker<'a> {
    session: &'a Arc<Session>,
    host: &'a Arc<dyn Host>,
    lease: &'a Arc<Lease>,
    console: &'a Console,
}

/// What became of a report.
enum Reported {
    Accepted,
    /// The action is no longer ours: ask what is.
    Superseded,
    SessionOver,
}

impl Worker<'_> {
    /// Carries out one action. `Some` ends the loop.
    async fn carry_out(&self, action: Action) -> Option<Ended> {
        let console = self.console;
        let again = if action.resumed { ", again" } else { "" };
        console.say(format!("action {} ({}{again})", action.name, action.kind));
        let mut report = ReportRequest {
            workflow: action.workflow.clone(),
            action_id: action.action_id.clone(),
            attempt: action.attempt,
            started_at: now(),
            message: "started".to_owned(),
            ..ReportRequest::default()
        };
        report.set_state(ActionState::Running);
        match self.report(&report).await {
            Reported::Accepted => {}
            Reported::Superseded => return None,
            Reported::SessionOver => return Some(Ended::ClaimAgain),
        }
        let board = Arc::new(Board::default());
        let result = match self.run(&action, &board, &mut report).await {
            Ok(result) => result,
            Err(ended) => return ended,
        };
        report.stopped_at = now();
        report.log = board.take_log();
        let mut leave = None;
        match result {
            Ok(outcome) => {
                report.set_state(ActionState::Success);
                report.percent = Some(100);
                report.message = outcome.message;
                report.facts = outcome.facts.into_iter().collect();
                leave = outcome.leave;
            }
            Err((state, error)) => {
                report.set_state(state);
                report.message = error.line();
                if error.is_hopeless() {
                    report.facts.insert(FACT_HOPELESS.to_owned(), "true".to_owned());
                }
                if let Some(digest) = error.damaged_image() {
                    report
                        .facts
                        .insert(FACT_DAMAGED_IMAGE.to_owned(), digest.to_string());
                }
            }
        }
        console.say(format!("{}: {}", action.name, report.message));
        match self.report(&report).await {
            Reported::Accepted => leave.map(|kexec| Ended::Leave { kexec }),
            Reported::Superseded => None,
            Reported::SessionOver => Some(Ended::ClaimAgain),
        }
    }

    /// Runs the action on a thread where it may block, with heartbeats. The outer error says that nothing is to be
    /// reported any more.
    #[allow(clippy::type_complexity)]
    async fn run(
        &self,
        action: &Action,
        board: &Arc<Board>,
        report: &mut ReportRequest,
    ) -> Result<Result<Outcome, (ActionState, Error)>, Option<Ended>> {
        let cancel = CancellationToken::new();
        // Whatever way this function is left, the action stops at its next block.
        let _guard = cancel.clone().drop_guard();
        let context = self.context(action, board, cancel.clone());
        let kind = action.kind.clone();
        let mut thread = tokio::task::spawn_blocking(move || actions::run(&kind, &context));
        let limit = Some(action.timeout_seconds)
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs);
        let started = Instant::now();
        let mut last_report = Instant::now();
        let mut shown = board.progress();
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        loop {
            tokio::select! {
                result = &mut thread => {
                    let result = result.unwrap_or_else(|panic| Err(Error::Stopped { reason: format!("the action crashed: {panic}") }));
                    return Ok(result.map_err(|error| (ActionState::Failed, error)));
                }
                _ = tick.tick() => {}
            }
            if limit.is_some_and(|limit| started.elapsed() > limit) {
                cancel.cancel();
                let _ = tokio::time::timeout(STOPPING, &mut thread).await;
                let reason = format!("the time limit of {} s is over", action.timeout_seconds);
                return Ok(Err((ActionState::Timeout, Error::Stopped { reason })));
            }
            let (percent, phase) = board.progress();
            if last_report.elapsed() < HEARTBEAT && (percent, phase) == shown {
                continue;
            }
            if shown != (percent, phase) && percent.is_some_and(|percent| percent.is_multiple_of(10)) {
                self.console
                    .say(format!("{}: {phase} {} %", action.name, percent.unwrap_or(0)));
            }
            shown = (percent, phase);
            last_report = Instant::now();
            report.percent = percent;
            phase.clone_into(&mut report.message);
            report.log = board.take_log();
            self.session.renew_when_due().await;
            // One try: the action goes on meanwhile, and pauses by itself when the lease runs out.
            match self.report_once(report).await {
                Ok(()) => {}
                Err(status) if is_final(&status) => {
                    self.console
                        .say(format!("{} is called off: {}", action.name, status.message()));
                    cancel.cancel();
                    let _ = tokio::time::timeout(STOPPING, &mut thread).await;
                    return Err(ends_session(&status).then_some(Ended::ClaimAgain));
                }
                Err(_) => board.put_back(std::mem::take(&mut report.log)),
            }
        }
    }

    fn context(&self, action: &Action, board: &Arc<Board>, cancel: CancellationToken) -> ActionContext {
        let session = Arc::clone(self.session);
        let runtime = tokio::runtime::Handle::current();
        ActionContext {
            environment: action.environment.clone().into_iter().collect::<BTreeMap<_, _>>(),
            disks: action.disks.clone(),
            resumed: action.resumed,
            identity: format!("{}/{}", action.workflow, action.attempt),
            host: Arc::clone(self.host),
            lease: Arc::clone(self.lease),
            board: Arc::clone(board),
            cancel,
            issue_first_boot: Box::new(move |request| runtime.block_on(session.first_boot(request))),
        }
    }

    /// Reports once; an answer renews the lease.
    async fn report_once(&self, report: &ReportRequest) -> Result<(), Status> {
        let mut call = Request::new(report.clone());
        call.set_timeout(CALL);
        let asked = Instant::now();
        let answer =
            tokio::time::timeout(CALL, WorkflowsClient::new(self.session.channel()).report(call)).await;
        answer
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
            .map(|_| self.lease.renew(asked))
    }

    /// Reports until there is an answer: an end that is not known to the appliance has not happened.
    async fn report(&self, report: &ReportRequest) -> Reported {
        let mut pause = Duration::from_millis(500);
        loop {
            match self.report_once(report).await {
                Ok(()) => return Reported::Accepted,
                Err(status) if ends_session(&status) => {
                    self.console
                        .say(format!("the session has ended: {}", status.message()));
                    return Reported::SessionOver;
                }
                Err(status) if is_final(&status) => {
                    self.console
                        .say(format!("the report is refused: {}", status.message()));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return Reported::Superseded;
                }
                Err(status) => {
                    self.console
                        .say(format!("report not delivered yet: {}", spoken(&status)));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
    }
}

fn ends_session(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

/// Milliseconds since the Unix epoch; the clock was set when the session began.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
