//! First boots that fail.

/// First boots that fail on a server.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    /// How many of them.
    pub times: u32,
    /// What a failed one leaves in its cluster.
    pub leaves: Leaves,
}

/// What a first boot that failed leaves in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing.
    Nothing,
    /// A learner of etcd that never answers.
    Learner,
    /// A node, and a learner of etcd that never answers.
    NodeAndLearner,
    /// A node, and all that belongs to it: it has failed in the last moment.
    Node,
}
