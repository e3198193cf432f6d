//! Task: does one action on one BMC, tries again while that may help, and ends when the BMC shows it done.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bmc::Bmc;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::runtime::controller::{Action, Config};
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt as _};
use resources::bmc::{BmcCondition, BmcReport, ConditionKind, Machine, Task, TaskStatus};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::retry::on_error;
use crate::Error;
use crate::connect::{NoLink, open};
use crate::contacts::is_same_machine;
use crate::engine::action::{PowerStep, Work, backoff};
use crate::engine::contact::Said;
use crate::engine::turn::{ended, holds};
use crate::status::{apply, conditions, now, observe, place};

/// How often the state is read while an action takes effect, and for how long within one reconcile.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS: u32 = 20;
/// Committed before a reset is sent; found again later, it means that nobody knows whether it was.
const AT_MOST_ONCE: &str = "sending, at most once";

pub(super) async fn run(context: Arc<Context>, cancel: CancellationToken) {
    let tasks: Api<Task> = Api::all(context.client.clone());
    Controller::new(tasks, watcher::Config::default())
        .with_config(Config::default().concurrency(context.options.concurrency))
        .graceful_shutdown_on(async move { cancel.cancelled().await })
        .run(reconcile, on_error, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

/// How one try ended.
enum Outcome<T = Answer> {
    Done(T),
    /// Not yet; try or look again.
    Later(String),
    Never(String),
}

/// What a BMC has answered at the end.
struct Answer<T = Said> {
    power: Option<T>,
    report: Option<BmcReport>,
}

impl Answer<bmc::PowerState> {
    fn power(state: bmc::PowerState) -> Self {
        Self {
            power: Some(state),
            report: None,
        }
    }
}

async fn reconcile(task: Arc<Task>, context: Arc<Context>) -> Result<Action, Error> {
    let held = task
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    if task.metadata.deletion_timestamp.is_some() || ended(held) {
        forget(&task, &context);
        return Ok(Action::await_change());
    }
    let work = match Work::of(&task.spec.task) {
        Ok(work) => work,
        Err(problem) => return fail(&task, &context, problem).await,
    };
    let elapsed = elapsed(&task);
    if elapsed > work.limit() {
        let last = held
            .iter()
            .find_map(|condition| condition.message.clone())
            .unwrap_or_default();
        let reason = format!("not done within {} s: {last}", work.limit().as_secs());
        return fail(&task, &context, reason).await;
    }
    if matches!(work, Work::Once(_)) && holds(held, ConditionKind::Running) && message(held) == AT_MOST_ONCE {
        let reason = "the appliance restarted while sending this; whether it happened is unknown, so it is not repeated";
        return fail(&task, &context, reason.to_owned()).await;
    }
    match attempt(&task, &context, work).await? {
        Outcome::Done(answer) => {
            if let Some(said) = answer.power {
                tell_machine(&task, &context, &said).await?;
            }
            let done = conditions(ConditionKind::Completed, None);
            end(&task, &context, done, answer.report).await
        }
        Outcome::Never(reason) => fail(&task, &context, reason).await,
        Outcome::Later(reason) => {
            running(&task, &context, reason).await?;
            Ok(Action::requeue(backoff(elapsed)))
        }
    }
}

/// One try, in one session.
async fn attempt(task: &Task, context: &Context, work: Work) -> Result<Outcome, Error> {
    let connection = &task.spec.connection;
    let turn = context.contacts.turn(connection).await;
    let link = match open(&context.client, connection, turn).await? {
        Ok(link) => link,
        Err(NoLink::Problem(problem) | NoLink::Paused(_, problem)) => return Ok(Outcome::Later(problem)),
    };
    let outcome = perform(task, context, link.client.as_ref(), work).await;
    let (protocol, reason) = (link.protocol, link.reason.clone());
    link.close(outcome.as_ref().ok().and_then(|result| result.as_ref().err()))
        .await;
    let outcome = outcome?.unwrap_or_else(|error| sort(&error));
    Ok(match outcome {
        Outcome::Done(answer) => Outcome::Done(Answer {
            power: answer.power.map(|power| Said {
                power,
                protocol,
                reason,
            }),
            report: answer.report,
        }),
        Outcome::Later(reason) => Outcome::Later(reason),
        Outcome::Never(reason) => Outcome::Never(reason),
    })
}

/// What one try comes to: done or not, or an error of the BMC.
type Tried = Result<Outcome<Answer<bmc::PowerState>>, bmc::Error>;

async fn perform(task: &Task, context: &Context, client: &dyn Bmc, work: Work) -> Result<Tried, Error> {
    Ok(match work {
        Work::Status => client.power_state().await.map(shows),
        Work::Boot(boot) => client.set_boot(boot).await.map(|()| done()),
        Work::Light(light) => client.identify(light).await.map(|()| done()),
        Work::Report(kind) => client.report(kind).await.map(|report| {
            Outcome::Done(Answer {
                power: None,
                report: Some(report),
            })
        }),
        Work::Power(_) => power(task, context, client, work).await,
        Work::Once(action) => {
            // A BMC that cannot be reached or refuses the login is found out before the point of no return.
            if let Err(error) = client.power_state().await {
                return Ok(Err(error));
            }
            running(task, context, AT_MOST_ONCE.to_owned()).await?;
            match client.power(action).await {
                Ok(()) => client.power_state().await.map(shows).or(Ok(done())),
                // Sent and not confirmed is not repeated.
                Err(error) => Ok(Outcome::Never(causes::line(&error))),
            }
        }
    })
}

fn shows(state: bmc::PowerState) -> Outcome<Answer<bmc::PowerState>> {
    Outcome::Done(Answer::power(state))
}

fn done() -> Outcome<Answer<bmc::PowerState>> {
    Outcome::Done(Answer {
        power: None,
        report: None,
    })
}

/// Sends the action if the state calls for it, then watches for its effect.
async fn power(task: &Task, context: &Context, client: &dyn Bmc, work: Work) -> Tried {
    let Work::Power(action) = work else {
        return Ok(Outcome::Never("not a power action".to_owned()));
    };
    let uid = task.uid().unwrap_or_default();
    let mut shown = client.power_state().await?;
    for _ in 0..LOOKS {
        let sent = context
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&uid)
            .map(Instant::elapsed);
        match work.step(shown, sent) {
            PowerStep::Done => return Ok(shows(shown)),
            PowerStep::Send => {
                client.power(action).await?;
                context
                    .sent
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(uid.clone(), Instant::now());
            }
            PowerStep::Wait => tokio::time::sleep(LOOK).await,
        }
        shown = client.power_state().await?;
    }
    Ok(Outcome::Later(format!(
        "asked for power {action}; the BMC still shows {shown}"
    )))
}

fn sort(error: &bmc::Error) -> Outcome<Answer<bmc::PowerState>> {
    let reason = causes::line(error);
    if error.retryable() {
        Outcome::Later(reason)
    } else {
        Outcome::Never(reason)
    }
}

/// The Machine that this Task's connection is of learns its power state at once.
async fn tell_machine(task: &Task, context: &Context, said: &Said) -> Result<(), Error> {
    let (namespace, _) = place(task);
    let machines: Api<Machine> = Api::namespaced(context.client.clone(), &namespace);
    let read = |source| Error::Read {
        kind: "Machines",
        name: namespace.clone(),
        source,
    };
    let same = ListParams::default().fields(&format!("spec.connection.host={}", task.spec.connection.host));
    let same = machines.list(&same).await.map_err(read)?;
    // Several BMCs may be behind one address.
    let same = same
        .items
        .iter()
        .filter(|machine| is_same_machine(&machine.spec.connection, &task.spec.connection));
    for machine in same {
        observe(&context.client, machine, Ok(said.clone())).await?;
    }
    Ok(())
}

fn elapsed(task: &Task) -> Duration {
    let started = task.status.as_ref().and_then(|status| status.start_time.as_ref());
    let since = started.map(|time| Timestamp::now().duration_since(time.0));
    since
        .and_then(|since| Duration::try_from(since).ok())
        .unwrap_or_default()
}

fn message(held: &[BmcCondition]) -> &str {
    held.iter()
        .find_map(|condition| condition.message.as_deref())
        .unwrap_or_default()
}

async fn running(task: &Task, context: &Context, message: String) -> Result<(), Error> {
    let started = task.status.as_ref().and_then(|status| status.start_time.clone());
    let status = TaskStatus {
        conditions: conditions(ConditionKind::Running, Some(message)),
        start_time: started.or_else(|| Some(now())),
        ..TaskStatus::default()
    };
    if task.status.as_ref() == Some(&status) {
        return Ok(());
    }
    apply(&context.client, task, &status).await
}

async fn fail(task: &Task, context: &Context, reason: String) -> Result<Action, Error> {
    let failed = conditions(ConditionKind::Failed, Some(reason));
    end(task, context, failed, None).await
}

async fn end(
    task: &Task,
    context: &Context,
    conditions: Vec<BmcCondition>,
    report: Option<BmcReport>,
) -> Result<Action, Error> {
    let started = task.status.as_ref().and_then(|status| status.start_time.clone());
    let status = TaskStatus {
        conditions,
        start_time: started.or_else(|| Some(now())),
        completion_time: Some(now()),
        report,
    };
    apply(&context.client, task, &status).await?;
    forget(task, context);
    Ok(Action::await_change())
}

fn forget(task: &Task, context: &Context) {
    let uid = task.uid().unwrap_or_default();
    context
        .sent
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&uid);
}
