//! What all mocks of one engine share.

use crate::events::Publisher;
use crate::template::RenderError;
use minijinja::{Environment, Value};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use stitch_net::Draws;

/// The common ground of an engine's endpoints and subscriptions.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Every template.
    pub(crate) environment: Environment<'static>,
    /// `vars:`.
    pub(crate) vars: Value,
    /// Chance.
    pub(crate) draws: Draws,
    /// Where events go, once events run; shared with the engines before and after a reload.
    pub(crate) publisher: Arc<OnceLock<Publisher>>,
    /// The main file, to name places.
    pub(crate) file: PathBuf,
}

impl Shared {
    /// Where a template stands, for people: `stitch.yaml:12:9`, or what is known of it.
    pub(crate) fn locate(&self, error: &RenderError) -> String {
        let place = error.place;
        match (place.line, place.file) {
            (0, _) => error.path.clone(),
            (line, 0) => {
                format!("{}:{line}:{} ({})", self.file.display(), place.column, error.path)
            }
            (line, _) => {
                format!("line {line}:{} of an included file ({})", place.column, error.path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::template::RenderError;
    use crate::testing::engine;
    use stitch_config::Place;

    #[test]
    fn places_are_named_as_well_as_they_are_known() {
        let engine = engine("services: { a: { endpoints: [ { path: / } ] } }");
        let at = |file, line| {
            let place = Place { file, line, column: 9, width: 1 };
            let error = RenderError::unusable(place, "services.a", "x", "is wrong");
            engine.shared().locate(&error)
        };
        assert_eq!(at(0, 12), "stitch.yaml:12:9 (services.a)");
        assert_eq!(at(1, 12), "line 12:9 of an included file (services.a)");
        assert_eq!(at(0, 0), "services.a");
    }
}
