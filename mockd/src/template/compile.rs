//! Strings of the file to templates, with every mistake reported where it stands.

use super::data::DataTemplate;
use super::environment::environment;
use super::error::describe;
use super::names::{self, Need};
use super::text::{Template, TextTemplate, prepare};
use minijinja::Environment;
use std::sync::Arc;
use stitch_config::data::{Data, Text};
use stitch_config::{Place, Problem, Report};

/// What a template is for; it decides which names it may mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A response body.
    Body,
    /// A response header.
    Header,
    /// Subject or payload of `nats_publish`.
    Publish,
    /// The path of a subscription's `action`.
    Action,
    /// A subscription's `reply`.
    Reply,
}

impl Role {
    pub(super) fn is_message(self) -> bool {
        matches!(self, Self::Action | Self::Reply)
    }
}

/// Where a template stands.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    /// What it is for.
    pub(crate) role: Role,
    /// The key path of its endpoint or subscription.
    pub(crate) path: Arc<str>,
    /// The names in the endpoint's path.
    pub(crate) params: &'a [&'a str],
    /// Keys that the response body is known to have.
    pub(crate) response_keys: &'a [String],
}

/// Compiles the templates of one configuration.
pub(crate) struct Compiler<'a> {
    environment: Environment<'static>,
    vars: Vec<&'a str>,
    report: &'a mut Report,
    count: usize,
    needs_body: bool,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(vars: Vec<&'a str>, report: &'a mut Report) -> Self {
        Self { environment: environment(), vars, report, count: 0, needs_body: false }
    }

    /// Reports a problem that is not a template's.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.report.push(problem);
    }

    /// Whether a template compiled since the last call reads the request body.
    pub(crate) fn take_needs_body(&mut self) -> bool {
        std::mem::take(&mut self.needs_body)
    }

    /// The environment that holds what was compiled.
    pub(crate) fn finish(self) -> Environment<'static> {
        self.environment
    }

    /// Compiles a string. After a mistake, which is reported, it stands for itself.
    pub(crate) fn text(&mut self, text: &Text, site: &Site<'_>) -> TextTemplate {
        let literal = || TextTemplate::Literal(text.text.clone());
        if !["{{", "{%", "{#"].iter().any(|mark| text.text.contains(mark)) {
            return literal();
        }
        let (source, lone) = prepare(&self.environment, &text.text);
        let name = format!("t{}", self.count);
        self.count += 1;
        let shown = if lone { text.text.clone() } else { source.clone() };
        if let Err(error) = self.environment.add_template_owned(name.clone(), source) {
            let message = format!("template does not compile: {}", describe(&error));
            self.wrong(text.place, site, message, None);
            return literal();
        }
        self.check_names(&name, text, site);
        TextTemplate::Template(Template {
            name: name.into(),
            source: shown.into(),
            lone,
            place: text.place,
            path: site.path.clone(),
        })
    }

    /// Compiles every string of a value; parts without templates become constants.
    pub(crate) fn data(&mut self, data: &Data, site: &Site<'_>) -> DataTemplate {
        match data {
            Data::Null | Data::Bool(_) | Data::Number(_) => DataTemplate::Constant(data.to_json()),
            Data::Text(text) => match self.text(text, site) {
                TextTemplate::Literal(text) => DataTemplate::Constant(text.into()),
                TextTemplate::Template(template) => DataTemplate::Template(template),
            },
            Data::List(items) => {
                DataTemplate::list(items.iter().map(|item| self.data(item, site)).collect())
            }
            Data::Map(entries) => DataTemplate::map(
                entries.iter().map(|(key, value)| (key.clone(), self.data(value, site))).collect(),
            ),
        }
    }

    fn check_names(&mut self, template: &str, text: &Text, site: &Site<'_>) {
        let mut wrongs = names::check_uses(&text.text, &self.environment);
        let globals: Vec<_> = self.environment.globals().map(|(name, _)| name).collect();
        let mut mentioned: Vec<_> = match self.environment.get_template(template) {
            Ok(template) => template.undeclared_variables(true).into_iter().collect(),
            // Just added under this name.
            Err(_) => Vec::new(),
        };
        // The engine yields a set; reports keep an order.
        mentioned.sort_unstable();
        for name in mentioned.iter().filter(|name| !globals.contains(&name.as_str())) {
            match names::check(name, site, &self.vars) {
                Ok(Need::Nothing) => {}
                Ok(Need::RequestBody) => self.needs_body = true,
                Err(wrong) => {
                    self.needs_body |= wrong.warning;
                    wrongs.push(wrong);
                }
            }
        }
        for wrong in wrongs {
            let mut problem = match wrong.warning {
                true => Problem::warning(text.place, &*site.path, wrong.message),
                false => Problem::error(text.place, &*site.path, wrong.message),
            };
            problem.hint = wrong.hint;
            self.report.push(problem);
        }
    }

    fn wrong(&mut self, place: Place, site: &Site<'_>, message: String, hint: Option<String>) {
        let mut problem = Problem::error(place, &*site.path, message);
        problem.hint = hint;
        self.report.push(problem);
    }
}
