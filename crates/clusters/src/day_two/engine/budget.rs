//! PodDisruptionBudgets: which of them speak about a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};

use super::pod::PodView;

/// A PodDisruptionBudget as far as a drain looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetView {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Which pods of its namespace it is about: none without a selector, all with an empty one.
    pub selector: Option<Selector>,
}

impl BudgetView {
    pub(crate) fn covers(&self, pod: &PodView) -> bool {
        let selects = |labels: &BTreeMap<String, String>| {
            self.selector
                .as_ref()
                .is_some_and(|selector| selector.matches(labels))
        };
        self.namespace == pod.id.namespace && selects(&pod.labels)
    }
}

pub(crate) fn budget_view(budget: &PodDisruptionBudget) -> BudgetView {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    BudgetView {
        namespace: budget.namespace().unwrap_or_default(),
        name: budget.name_any(),
        // One that the API server took can be read.
        selector: selector.and_then(|selector| Selector::try_from(selector).ok()),
    }
}
