//! What a mock answers, from any of the forms of `response:`.

use super::context::Context;
use crate::data::{Data, Text};
use crate::decode::{At, Many, Named};
use crate::model::{ResponseBody, ResponseSpec};
use crate::raw::RawResponse;
use http::HeaderName;

pub(super) fn resolve(cx: &mut Context<'_>, raw: Option<RawResponse>) -> ResponseSpec {
    let mut response = ResponseSpec {
        status: 200,
        headers: Vec::new(),
        body: ResponseBody::Empty,
        descriptor: false,
    };
    match raw {
        None => {}
        Some(RawResponse::Status(status)) => response.status = status,
        Some(RawResponse::Text(text)) => response.body = ResponseBody::Text(text),
        Some(RawResponse::Body(data)) => response.body = ResponseBody::Json(data),
        Some(RawResponse::Descriptor(raw)) => {
            response.descriptor = true;
            response.status = raw.status.as_ref().map_or(200, |status| status.value.0);
            response.headers =
                raw.headers.map(|headers| header_list(cx, headers)).unwrap_or_default();
            response.body = match (raw.body, raw.file) {
                (Some(_), Some(file)) => {
                    cx.push(
                        file.spot
                            .error("\"file\" stands beside \"body\"")
                            .hint("keep one of the two"),
                    );
                    ResponseBody::Empty
                }
                (Some(At { value: Data::Text(text), .. }), None) => ResponseBody::Text(text),
                (Some(body), None) => ResponseBody::Json(body.value),
                (None, Some(file)) => {
                    let path = cx.sources.relative(file.spot.place, &file.value.0);
                    ResponseBody::File(path, file.spot.place)
                }
                (None, None) => ResponseBody::Empty,
            };
            let bodyless = raw.status.filter(|status| matches!(status.value.0, 204 | 304));
            if let Some(status) = bodyless.filter(|_| response.body != ResponseBody::Empty) {
                cx.push(status.spot.warning(format!(
                    "an answer with status {} has no body, so this one is never sent",
                    response.status
                )));
            }
        }
    }
    response
}

pub(super) fn header_list(
    cx: &mut Context<'_>,
    headers: Named<Many<Text>>,
) -> Vec<(HeaderName, Text)> {
    let mut list = Vec::new();
    for (name, values) in headers.0 {
        let Some(header) = header_name(cx, &name) else { continue };
        if matches!(header.as_str(), "content-length" | "transfer-encoding" | "connection") {
            cx.push(
                name.spot
                    .error(format!("the header {header} belongs to the connection"))
                    .hint("remove it; it is set to fit the body"),
            );
            continue;
        }
        for value in values.0 {
            if value.text.contains(['\r', '\n', '\0']) {
                cx.push(name.spot.error(format!("the value of {header} holds a line break")));
            } else {
                list.push((header.clone(), value));
            }
        }
    }
    list
}

/// The name of a header, in lower case.
pub(super) fn header_name(cx: &mut Context<'_>, name: &At<String>) -> Option<HeaderName> {
    let header = HeaderName::from_bytes(name.value.as_bytes()).ok();
    if header.is_none() {
        cx.push(
            name.spot
                .error(format!("{:?} is not the name of a header", name.value))
                .hint("letters, digits and -, such as x-request-id"),
        );
    }
    header
}
