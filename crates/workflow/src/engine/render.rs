//! From a checked document to the rows of a Workflow's status.

use agent_protocol::ActionKind;
use resources::tinkerbell::{ActionState, Namespaces, WorkflowAction, WorkflowTask};
use template::{Action, Document, Task};

/// What rendering puts into the status.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Agent of the first task.
    pub agent_id: String,
    /// Seconds for everything; 0 means no limit.
    pub global_timeout: i64,
    /// Rows.
    pub tasks: Vec<WorkflowTask>,
}

/// Checks what the document asks of us and makes rows of it; `mint` gives ids. All problems at once.
pub fn rendered(document: &Document, mut mint: impl FnMut() -> String) -> Result<Rendered, String> {
    let mut problems = template::check(document, |image| {
        ActionKind::native(image).map(ActionKind::leaves_installer)
    });
    problems.extend(mixed(document));
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let tasks = document.tasks.iter().map(|task| row(task, &mut mint)).collect();
    let agent_id = document
        .tasks
        .first()
        .map(|task| task.worker.clone())
        .unwrap_or_default();
    Ok(Rendered {
        agent_id,
        global_timeout: document.global_timeout,
        tasks,
    })
}

/// What else an attempt does besides wiping, inspecting or repairing, if it does: each of these decides what follows for the
/// server. After a repair the machine starts its system again.
fn mixed(document: &Document) -> Option<String> {
    let actions = || document.tasks.iter().flat_map(|task| &task.actions);
    let kinds = [
        ActionKind::Wipe,
        ActionKind::Inspect,
        ActionKind::RenewCertificates,
    ];
    kinds.into_iter().find_map(|kind| {
        let is_kind = |action: &&Action| ActionKind::of_image(&action.image) == Some(kind);
        let may_follow = |action: &Action| {
            kind == ActionKind::RenewCertificates
                && ActionKind::of_image(&action.image).is_some_and(ActionKind::leaves_installer)
        };
        let other = actions().find(|action| !is_kind(action) && !may_follow(action))?;
        actions().find(is_kind).map(|alone| {
            format!(
                "rendered line {}: {} must stand alone, and {} is in the same template; make two Workflows",
                alone.image_line, alone.image, other.image
            )
        })
    })
}

fn row(task: &Task, mint: &mut impl FnMut() -> String) -> WorkflowTask {
    WorkflowTask {
        id: mint(),
        name: task.name.clone(),
        agent_id: Some(task.worker.clone()),
        volumes: task.volumes.clone(),
        environment: task.environment.clone(),
        actions: task
            .actions
            .iter()
            .map(|action| action_row(action, mint()))
            .collect(),
    }
}

fn action_row(action: &Action, id: String) -> WorkflowAction {
    WorkflowAction {
        id,
        name: action.name.clone(),
        image: Some(action.image.clone()),
        timeout: Some(action.timeout),
        command: action.command.clone(),
        volumes: action.volumes.clone(),
        pid: action.pid.clone(),
        namespaces: action.namespaces.as_ref().map(|shared| Namespaces {
            network: shared.network.clone(),
            pid: shared.pid.clone(),
        }),
        environment: action.environment.clone(),
        state: ActionState::Pending,
        ..WorkflowAction::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(images: &[&str]) -> Document {
        let actions: String = images
            .iter()
            .enumerate()
            .map(|(at, image)| format!("  - name: a{at}\n    image: {image}\n"))
            .collect();
        template::parse(
            "t",
            &format!("name: w\nglobal_timeout: 60\ntasks:\n- name: t\n  worker: m\n  actions:\n{actions}"),
        )
        .unwrap()
    }

    #[test]
    fn every_native_action_makes_a_row_with_its_own_id() {
        let images = [
            "quay.io/x/image2disk:v1",
            "127.0.0.1/embedded/writefile",
            "seed",
            "gantry/handover",
        ];
        let mut ids = 0;
        let rendered = rendered(&document(&images), || {
            ids += 1;
            format!("id-{ids}")
        })
        .unwrap();
        assert_eq!((rendered.agent_id.as_str(), rendered.global_timeout), ("m", 60));
        let task = &rendered.tasks[0];
        let ids: Vec<_> = task.actions.iter().map(|action| action.id.as_str()).collect();
        assert_eq!(ids, ["id-2", "id-3", "id-4", "id-5"]);
        assert!(
            task.actions
                .iter()
                .all(|action| action.state == ActionState::Pending && action.timeout == Some(3600))
        );
    }

    #[test]
    fn an_image_without_a_native_action_is_named_with_what_there_is() {
        let error = rendered(
            &document(&["image2disk", "quay.io/tinkerbell/actions/cexec:v1", "waitdaemon"]),
            String::new,
        )
        .unwrap_err();
        assert!(
            error.contains("rendered line 10: tasks[0].actions[1].image: there is no native action for"),
            "{error}"
        );
        assert!(error.contains("supported are image2disk, writefile"), "{error}");
        assert!(
            error.contains("actions[2].image") && error.contains("reports success before kexec"),
            "{error}"
        );
    }

    #[test]
    fn nothing_comes_after_the_installer_is_left() {
        for leaving in ["kexec", "reboot", "handover"] {
            assert!(
                rendered(&document(&["image2disk", leaving]), String::new).is_ok(),
                "{leaving}"
            );
            let error = rendered(&document(&[leaving, "writefile"]), String::new).unwrap_err();
            assert!(error.contains("must be the last action"), "{error}");
        }
    }

    #[test]
    fn a_repair_may_be_followed_by_the_start_of_the_system_alone() {
        assert!(rendered(&document(&["renew-certificates", "reboot"]), String::new).is_ok());
        for other in ["image2disk", "wipe", "seed"] {
            let error = rendered(&document(&["renew-certificates", other]), String::new).unwrap_err();
            assert!(error.contains("must stand alone"), "{other}: {error}");
        }
    }

    #[test]
    fn a_wipe_stands_alone() {
        assert!(rendered(&document(&["gantry/wipe", "wipe"]), String::new).is_ok());
        let error = rendered(&document(&["wipe", "image2disk"]), String::new).unwrap_err();
        assert!(
            error.contains("rendered line 8: wipe must stand alone"),
            "{error}"
        );
    }

    #[test]
    fn a_second_machine_is_refused() {
        let mut two = document(&["image2disk"]);
        two.tasks.push(Task {
            worker: "other".into(),
            ..two.tasks[0].clone()
        });
        assert!(
            rendered(&two, String::new)
                .unwrap_err()
                .contains("tasks[1].worker")
        );
    }
}
