//! The programs that `stitch up` starts (`command:`) and looks after: started in order, watched
//! until they answer, restarted with patience, stopped with their whole process group.
//!
//! Decisions (`plan`, `restarts`) are pure; `keeper` lives through one command's life; the
//! [`Supervisor`] holds one keeper per command and survives reloads. When stitch itself is killed
//! (SIGKILL) its programs live on: asking the kernel to end them would need unsafe code.

mod board;
mod group;
mod keeper;
mod output;
mod plan;
mod probe;
mod restarts;
mod supervisor;
mod target;

pub(crate) use board::State;
pub(crate) use supervisor::Supervisor;
