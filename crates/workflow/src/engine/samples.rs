//! A rendered Workflow of three actions, for tables.

use jiff::Timestamp;
use resources::tinkerbell::{WorkflowAction, WorkflowState, WorkflowStatus, WorkflowTask};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn status() -> WorkflowStatus {
    let action = |id: &str, name: &str, image: &str| WorkflowAction {
        id: id.into(),
        name: name.into(),
        image: Some(image.into()),
        timeout: Some(600),
        ..WorkflowAction::default()
    };
    WorkflowStatus {
        agent_id: Some("m".into()),
        state: Some(WorkflowState::Pending),
        global_timeout: Some(6000),
        attempt: Some(3),
        tasks: vec![WorkflowTask {
            id: "t-1".into(),
            name: "task".into(),
            actions: vec![
                action("a-1", "stream", "quay.io/x/image2disk:v1"),
                action("a-2", "write", "writefile"),
                action("a-3", "leave", "gantry/handover"),
            ],
            ..WorkflowTask::default()
        }],
        ..WorkflowStatus::default()
    }
}
