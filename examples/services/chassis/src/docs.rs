//! The page at `/docs`: the OpenAPI document as one HTML file without scripts, fonts or links elsewhere.
//!
//! Rendered once, when the router is built. It shows what a reader of an API looks for (operations,
//! parameters, bodies, answers) and leaves the rest to the document itself.

use std::fmt::Write as _;

use serde_json::Value;

use crate::openapi::operations;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}\
    details{border:1px solid #8886;border-radius:6px;margin:.5rem 0;padding:.5rem .8rem}\
    summary{cursor:pointer}b{display:inline-block;min-width:4.5rem}code,pre{font-family:ui-monospace,monospace}\
    pre{background:#8882;padding:.6rem;overflow:auto}:root{color-scheme:light dark}";

/// The page for `document`.
pub(crate) fn page(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1><p>{}</p><p>The document: <a href=\"openapi.json\">openapi.json</a></p>\n",
        text(&document["info"]["description"]),
    );
    for (method, path, operation) in operations(document) {
        describe(&mut out, document, method, path, operation);
    }
    out.push_str("</body></html>\n");
    out
}

fn describe(out: &mut String, document: &Value, method: &str, path: &str, operation: &Value) {
    push(
        out,
        format_args!(
            "<details><summary><b>{}</b><code>{}</code> {}</summary>\n",
            method.to_ascii_uppercase(),
            escape(path),
            text(&operation["summary"]),
        ),
    );
    let parameters = list(&operation["parameters"]).map(|parameter| resolve(document, parameter));
    let parameters: Vec<String> = parameters
        .map(|parameter| {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            format!("<li><code>{name}</code> ({place}) {}</li>", text(&parameter["description"]))
        })
        .collect();
    if !parameters.is_empty() {
        push(out, format_args!("<h4>Parameters</h4><ul>{}</ul>\n", parameters.concat()));
    }
    let schema =
        &resolve(document, &operation["requestBody"])["content"]["application/json"]["schema"];
    if !schema.is_null() {
        let shown = serde_json::to_string_pretty(resolve(document, schema)).unwrap_or_default();
        push(out, format_args!("<h4>Body</h4><pre>{}</pre>\n", escape(&shown)));
    }
    out.push_str("<h4>Answers</h4><ul>");
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let said = text(&resolve(document, answer)["description"]);
        push(out, format_args!("<li><code>{}</code> {said}</li>", escape(status)));
    }
    out.push_str("</ul></details>\n");
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(arguments);
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What a `$ref` points at, or the value itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_shows_operations_resolves_references_and_escapes() {
        let page = page(&json!({
            "info": {"title": "Things <1>", "description": "a & b"},
            "paths": {"/things/{id}": {"put": {
                "summary": "Replace",
                "parameters": [{"$ref": "#/components/id"}],
                "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": {"404": {"description": "absent"}},
            }}},
            "components": {"id": {"name": "id", "in": "path", "description": "which one"}},
        }));
        for part in [
            "<title>Things &lt;1&gt;</title>",
            "a &amp; b",
            "<b>PUT</b><code>/things/{id}</code> Replace",
            "<code>id</code> (path) which one",
            "<pre>{\n  &quot;type&quot;: &quot;object&quot;\n}</pre>",
            "<code>404</code> absent",
        ] {
            assert!(page.contains(part), "{part} is missing in:\n{page}");
        }
        assert!(
            !page.contains("http://") && !page.contains("https://") && !page.contains("<script")
        );
    }
}
