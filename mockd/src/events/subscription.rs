//! One `nats_subscribe` entry, compiled.

use crate::template::{Compiler, DataTemplate, Role, Site, TextTemplate};
use http::Method;
use std::sync::Arc;
use stitch_config::model::{Reaction, Subscription};

/// What a subscription does with its messages.
#[derive(Debug)]
pub(crate) struct SubscriptionMock {
    pub(super) service: Arc<str>,
    pub(super) subject: String,
    pub(super) compiled: Arc<Compiled>,
}

/// A reaction with its templates.
#[derive(Debug)]
pub(super) enum Compiled {
    Action { method: Method, path: TextTemplate },
    Reply(DataTemplate),
}

impl SubscriptionMock {
    /// Compiles a subscription; mistakes are reported.
    pub(crate) fn compile(
        service: &Arc<str>,
        model: &Subscription,
        compiler: &mut Compiler<'_>,
    ) -> Self {
        let path = model.path_in_file.as_str().into();
        let site = Site { role: Role::Action, path, params: &[], response_keys: &[] };
        let compiled = match &model.reaction {
            Reaction::Action(action) => Compiled::Action {
                method: action.method.clone(),
                path: compiler.text(&action.path, &site),
            },
            Reaction::Reply(data) => {
                let site = Site { role: Role::Reply, ..site };
                Compiled::Reply(compiler.data(data, &site))
            }
        };
        Self {
            service: service.clone(),
            subject: model.subject.clone(),
            compiled: Arc::new(compiled),
        }
    }
}
