//! Upgrade gates of a played cluster: CronJobs, and Jobs that are made of them.

use std::collections::BTreeMap;

use clusters::{GateJob, GateJobState, GateTemplate, GatesView, NamespacedName};
use jiff::Timestamp;
use resources::keys;
use serde_json::Value;

/// CronJobs and Jobs.
#[derive(Debug, Default)]
pub struct Gates {
    /// CronJobs.
    pub templates: BTreeMap<NamespacedName, GateTemplate>,
    /// Jobs, with the machine after which each is run.
    pub jobs: BTreeMap<NamespacedName, (String, GateJob)>,
    /// How Jobs end as soon as they are made; while this is absent they run until somebody ends them.
    pub end: Option<GateJobState>,
}

impl Gates {
    pub(crate) fn view(&self, templates: &[NamespacedName], jobs: &[NamespacedName]) -> GatesView {
        let templates = templates
            .iter()
            .filter_map(|name| Some((name.clone(), self.templates.get(name)?.clone())));
        let jobs = jobs
            .iter()
            .filter_map(|name| Some((name.clone(), self.jobs.get(name)?.1.clone())));
        GatesView {
            templates: templates.collect(),
            jobs: jobs.collect(),
        }
    }

    /// A Job is applied. One that is there stays as it is. Returns the machine that a new one is run for.
    pub(crate) fn apply(&mut self, object: &Value) -> Option<String> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap().to_owned();
        let name = NamespacedName {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
        };
        if self.jobs.contains_key(&name) {
            return None;
        }
        let machine = object["metadata"]["annotations"][keys::GATE_MACHINE]
            .as_str()
            .unwrap();
        let job = GateJob {
            created: Timestamp::now(),
            limit_seconds: object["spec"]["activeDeadlineSeconds"].as_i64().unwrap(),
            state: self.end.clone().unwrap_or(GateJobState::Running(None)),
        };
        self.jobs.insert(name, (machine.to_owned(), job));
        Some(machine.to_owned())
    }

    /// Ends every Job that runs.
    pub fn end_all(&mut self, state: &GateJobState) {
        let jobs = self.jobs.values_mut().map(|(_, job)| job);
        for job in jobs.filter(|job| matches!(job.state, GateJobState::Running(_))) {
            job.state = state.clone();
        }
    }

    /// The machines after which Jobs were run, each as often.
    #[must_use]
    pub fn machines(&self) -> Vec<String> {
        let mut machines: Vec<String> = self.jobs.values().map(|(machine, _)| machine.clone()).collect();
        machines.sort();
        machines
    }
}
