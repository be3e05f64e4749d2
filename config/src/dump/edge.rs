//! The part of the dump about mirrors, compression and CORS: `null` is inherited, `false` is off.

use super::config::time;
use super::setting::setting;
use crate::model::{Cors, Mirror, Origins, Policies};
use serde_json::{Value as Json, json};

/// Adds the policies to what is known of their owner.
pub(super) fn add(out: &mut Json, policies: &Policies) {
    out["mirror"] = setting(&policies.mirror, mirror);
    out["compression"] = setting(&policies.compression, |()| json!(true));
    out["cors"] = setting(&policies.cors, cors);
}

fn mirror(mirror: &Mirror) -> Json {
    json!({
        "to": &*mirror.to,
        "share": mirror.share,
        "max": mirror.max,
        "max_body": mirror.max_body,
    })
}

fn cors(cors: &Cors) -> Json {
    let names = |names: &[http::HeaderName]| {
        names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    json!({
        "origins": match &cors.origins {
            Origins::Any => json!("*"),
            Origins::Only(origins) => json!(origins),
        },
        "methods": cors.methods.as_ref().map(|methods| {
            methods.iter().map(http::Method::as_str).collect::<Vec<_>>()
        }),
        "headers": cors.headers.as_deref().map(names),
        "expose": names(&cors.expose),
        "credentials": cors.credentials,
        "max_age": time(cors.max_age),
    })
}
