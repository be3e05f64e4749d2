//! One request, top to bottom; start reading at `run`.

mod run;

mod arrival;
mod step;

mod attempt;
mod audience;
mod connect;
mod govern;
mod leaving;
mod real;
mod service;
mod tried;
mod tries;

mod answer;

pub(crate) use answer::Answer;
pub(crate) use arrival::{Call, Ongoing};
pub(crate) use connect::dial;
pub(crate) use run::{Begun, begin, begin_for};

use run::Answered;
use step::{Step, Wait};

#[cfg(test)]
mod tests;
