//! The NICs that name one address or identifier. Nearly always it is one.

use std::sync::Arc;

use crate::target::BootTarget;

/// At least one NIC.
#[derive(Debug, Clone)]
pub(crate) enum Claims {
    One(Arc<BootTarget>),
    Several(Arc<Several>),
}

#[derive(Debug)]
pub(crate) struct Several {
    /// By namespace and name of the machine, then by the NIC's position.
    targets: Vec<Arc<BootTarget>>,
    /// The machines as `namespace/name`, sorted, each once.
    names: Vec<String>,
}

impl Claims {
    pub(crate) fn new(target: &Arc<BootTarget>) -> Self {
        Self::One(Arc::clone(target))
    }

    pub(crate) fn with(&self, target: &Arc<BootTarget>) -> Self {
        let known = self.targets().iter().chain([target]).cloned();
        Self::of(known.collect()).unwrap_or_else(|| Self::new(target))
    }

    /// What is left without this NIC, if anything is.
    pub(crate) fn without(&self, target: &Arc<BootTarget>) -> Option<Self> {
        let left = self.targets().iter().filter(|known| !Arc::ptr_eq(known, target));
        Self::of(left.cloned().collect())
    }

    fn of(mut targets: Vec<Arc<BootTarget>>) -> Option<Self> {
        if let [] | [_] = *targets {
            return targets.pop().map(Self::One);
        }
        let order = |target: &Arc<BootTarget>| (target.key(), target.index);
        targets.sort_by_cached_key(order);
        let machines = targets.iter().map(|target| &target.machine);
        let mut names: Vec<String> = machines
            .map(|machine| format!("{}/{}", machine.namespace, machine.name))
            .collect();
        names.sort();
        names.dedup();
        Some(Self::Several(Arc::new(Several { targets, names })))
    }

    /// The machine's first such NIC if it is one machine, otherwise the names of the machines.
    pub(crate) fn only(&self) -> Result<&Arc<BootTarget>, &[String]> {
        match (self, self.targets()) {
            (Self::Several(several), _) if several.names.len() > 1 => Err(&several.names),
            (_, [first, ..]) => Ok(first),
            (_, []) => Err(&[]),
        }
    }

    /// For identifiers that are never given twice.
    pub(crate) fn last(&self) -> Option<&Arc<BootTarget>> {
        self.targets().last()
    }

    fn targets(&self) -> &[Arc<BootTarget>] {
        match self {
            Self::One(target) => std::slice::from_ref(target),
            Self::Several(several) => &several.targets,
        }
    }
}
