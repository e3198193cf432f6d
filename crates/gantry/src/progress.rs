//! Progress of a cluster: what a snapshot says (pure), and how it is drawn.

mod draw;
mod view;

pub(crate) use draw::Screen;
pub(crate) use view::{Verdict, plan_lines, view};
