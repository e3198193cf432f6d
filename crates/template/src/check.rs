//! What one Workflow can carry out: actions that exist, in an order that can be kept, on one machine.

use crate::document::Document;

/// All problems of a document, each with its place; `leaves_installer` says of an action's image whether the installer is
/// gone after it, or why there is no such action.
pub fn check(document: &Document, leaves_installer: impl Fn(&str) -> Result<bool, String>) -> Vec<String> {
    let mut problems = Vec::new();
    let worker = document.tasks.first().map(|task| task.worker.as_str());
    let last = document.tasks.len().saturating_sub(1);
    for (task_at, task) in document.tasks.iter().enumerate() {
        if Some(task.worker.as_str()) != worker {
            problems.push(format!(
                "tasks[{task_at}].worker: {:?} is another machine than that of tasks[0]; one Workflow drives one machine",
                task.worker
            ));
        }
        let end = task.actions.len().saturating_sub(1);
        for (at, action) in task.actions.iter().enumerate() {
            let field = format!(
                "rendered line {}: tasks[{task_at}].actions[{at}].image",
                action.image_line
            );
            match leaves_installer(&action.image) {
                Err(why) => problems.push(format!("{field}: {why}")),
                Ok(true) if (task_at, at) != (last, end) => problems.push(format!(
                    "{field}: after {} the installer is gone, so it must be the last action",
                    action.image
                )),
                Ok(_) => {}
            }
        }
    }
    problems
}
