//! What was changed at run time, and for how long it holds.
//!
//! A change holds until it is taken back, or until the files say something else about the same key:
//! whoever edits the file afterwards means it. Each remembers therefore what the files said when it
//! was made.

use serde_json::{Map, Value};
use stitch_config::overlay::{Change, Values, What, Written};
use stitch_config::{Report, Sources};

/// Every change, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct RunTime(Vec<Override>);

#[derive(Clone, Debug)]
struct Override {
    service: String,
    key: String,
    /// What is in force; `None` is as if nothing were written.
    value: Option<Written>,
    /// What the files said.
    before: Option<Written>,
}

/// A change that a reload has ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Dropped {
    pub(crate) service: String,
    pub(crate) key: String,
    pub(crate) why: String,
}

impl RunTime {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a load is to put over the files.
    pub(super) fn changes(&self) -> Vec<Change> {
        let change = |it: &Override| Change {
            name: it.name(),
            service: it.service.clone(),
            what: What::Set(it.key.clone(), it.value.clone()),
        };
        self.0.iter().map(change).collect()
    }

    /// A key has the value that is in force in these; what the files say anyway is no change.
    pub(super) fn set(&mut self, service: &str, key: &str, values: &Values) {
        self.remove(service, Some(key));
        let value = values.in_force.get(service, key).cloned();
        let before = values.with_overlay.get(service, key).cloned();
        if value != before {
            let (service, key) = (service.to_owned(), key.to_owned());
            self.0.push(Override { service, key, value, before });
        }
    }

    /// Takes back the change of a key, or all of the service.
    pub(super) fn remove(&mut self, service: &str, key: Option<&str>) {
        self.0.retain(|it| it.service != service || key.is_some_and(|key| it.key != key));
    }

    /// The keys of a service that were changed.
    pub(super) fn keys(&self, service: &str) -> Vec<String> {
        self.of(service).map(|it| it.key.clone()).collect()
    }

    /// The changes of a service, for people.
    pub(super) fn shown(&self, service: &str) -> Map<String, Value> {
        let shown = |it: &Override| {
            let value = it.value.as_ref().map_or(Value::Null, Written::to_json);
            (it.key.clone(), stitch_config::masked(&it.key, &value))
        };
        self.of(service).map(shown).collect()
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &Override> {
        self.0.iter().filter(move |it| it.service == service)
    }

    /// Gives up what the files say differently now.
    pub(super) fn drop_stale(&mut self, values: &Values) -> Vec<Dropped> {
        let why = |it: &Override| {
            let changed = values.with_overlay.get(&it.service, &it.key) != it.before.as_ref();
            match values.with_overlay.declares(&it.service) {
                false => Some("the service is no longer declared".to_owned()),
                true if changed => Some("the file changed the same key".to_owned()),
                true => None,
            }
        };
        self.drop_where(why)
    }

    /// Gives up what the errors of a report are about.
    pub(super) fn drop_blamed(&mut self, report: &Report, sources: &Sources) -> Vec<Dropped> {
        let errors: Vec<_> = report.sorted().into_iter().filter(|it| it.is_error()).collect();
        self.drop_where(|it| {
            let name = it.name();
            let of_it = |place| sources.path(place).is_some_and(|path| path.as_os_str() == &*name);
            let error = errors.iter().find(|error| of_it(error.place))?;
            Some(format!("with what the file says now it is not valid: {}", error.message))
        })
    }

    /// Gives up the newest one.
    pub(super) fn drop_newest(&mut self) -> Option<Dropped> {
        let Override { service, key, .. } = self.0.pop()?;
        let why = "with what the file says now it is not valid".to_owned();
        Some(Dropped { service, key, why })
    }

    fn drop_where(&mut self, why: impl Fn(&Override) -> Option<String>) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        self.0.retain(|it| {
            let Some(why) = why(it) else { return true };
            let (service, key) = (it.service.clone(), it.key.clone());
            dropped.push(Dropped { service, key, why });
            false
        });
        dropped
    }
}

impl Override {
    /// What reports call it.
    fn name(&self) -> String {
        format!("the change of {}.{} at run time", self.service, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use stitch_config::overlay::Changes;
    use stitch_config::{Loaded, load_with};

    fn load(text: &str, run_time: Vec<Change>) -> Loaded {
        let scratch = Scratch::new();
        let changes = Changes { run_time, ..Changes::default() };
        load_with(&scratch.write("stitch.yaml", text), &|_| None, &changes)
    }

    fn patch(service: &str, text: &str) -> Change {
        let (name, what) = ("patch".to_owned(), What::Patch(text.to_owned()));
        Change { name, service: service.to_owned(), what }
    }

    const TWO: &str =
        "services:\n  a: { url: 'http://x', timeout: { connect: 1s } }\n  b: { url: 'http://y' }\n";

    /// Changes of a's timeout and b's mode.
    fn changed() -> RunTime {
        let patches =
            [patch("a", r#"{"timeout": {"idle": "7s"}}"#), patch("b", r#"{"mode": "real"}"#)];
        let values = load(TWO, patches.to_vec()).values;
        let mut changes = RunTime::default();
        changes.set("a", "timeout", &values);
        changes.set("b", "mode", &values);
        changes.set("b", "timeout", &values);
        changes
    }

    #[test]
    fn a_change_is_the_whole_value_of_its_key() {
        let changes = changed();
        let timeout = serde_json::json!({ "timeout": { "connect": "1s", "idle": "7s" } });
        assert_eq!(Value::Object(changes.shown("a")), timeout);
        assert_eq!(changes.keys("b"), ["mode"], "what the file says anyway is no change");
        let again = load(TWO, changes.changes());
        assert!(!again.report.has_errors(), "{}", again.report.render(&again.sources));
        assert_eq!(again.values.in_force.get("a", "timeout"), changes.0[0].value.as_ref());
    }

    #[test]
    fn a_change_is_stale_when_the_files_say_something_else() {
        let same = TWO.replace("{ url: 'http://y' }", "{ url: 'http://z', timeout: 3s }");
        assert_eq!(changed().drop_stale(&load(&same, vec![]).values), []);
        let other = TWO.replace("connect: 1s", "connect: 2s");
        let mut changes = changed();
        let dropped = changes.drop_stale(&load(&other, vec![]).values);
        assert_eq!((dropped.len(), &*dropped[0].service, &*dropped[0].key), (1, "a", "timeout"));
        assert_eq!(changes.keys("a"), [""; 0]);
        let gone = "services: { b: { url: 'http://y' } }";
        let dropped = changed().drop_stale(&load(gone, vec![]).values);
        assert_eq!((dropped.len(), &*dropped[0].key), (1, "timeout"), "{dropped:?}");
    }

    #[test]
    fn the_change_that_an_error_is_about_is_blamed() {
        let mut changes = changed();
        let mock = TWO.replace("url: 'http://y'", "endpoints: [{ path: / }]");
        let loaded = load(&mock, changes.changes());
        assert!(loaded.report.has_errors());
        let dropped = changes.drop_blamed(&loaded.report, &loaded.sources);
        assert_eq!((dropped.len(), &*dropped[0].service, &*dropped[0].key), (1, "b", "mode"));
        assert!(dropped[0].why.contains("needs a real service"), "{dropped:?}");
        assert_eq!(changes.drop_newest().map(|it| it.key), Some("timeout".to_owned()));
        assert!(changes.is_empty() && changes.drop_newest().is_none());
    }

    #[test]
    fn changes_are_taken_back_by_key_and_by_service() {
        let mut changes = changed();
        changes.remove("a", Some("mode"));
        changes.remove("b", None);
        assert_eq!((changes.keys("a"), changes.keys("b").len()), (vec!["timeout".to_owned()], 0));
    }
}
