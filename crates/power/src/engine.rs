//! Decisions, pure: objects and time in, the next step out.

pub(crate) mod action;
pub(crate) mod breaker;
pub(crate) mod contact;
pub(crate) mod inventory;
pub(crate) mod job;
pub(crate) mod protocol;
pub(crate) mod turn;
