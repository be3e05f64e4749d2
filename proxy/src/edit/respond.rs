//! An answer of the proxy's own, made when the file is loaded: `respond` of a route, and `fallback`.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use stitch_config::data::Data;
use stitch_config::model;
use stitch_net::Body;

/// What is answered, every time.
#[derive(Clone, Debug)]
pub(crate) struct Respond {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Respond {
    /// Makes the answer.
    pub fn new(declared: &model::Respond) -> Self {
        // The loader lets nothing else through.
        let status = StatusCode::from_u16(declared.status).unwrap_or_default();
        let mut headers: HeaderMap = HeaderMap::with_capacity(declared.headers.len() + 1);
        for (name, value) in &declared.headers {
            headers.append(name, value.clone());
        }
        let body = declared.body.as_ref().filter(|_| !is_bodyless(status));
        let (body, kind) = match body {
            None => (Bytes::new(), None),
            Some(Data::Text(text)) => (text.text.clone().into(), Some("text/plain; charset=utf-8")),
            Some(data) => (data.to_json().to_string().into(), Some("application/json")),
        };
        if let Some(kind) = kind.filter(|_| !headers.contains_key(CONTENT_TYPE)) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Self { status, headers, body }
    }

    /// The answer to a request with this method.
    pub fn answer(&self, method: &Method) -> Response<Body> {
        let mut headers = self.headers.clone();
        let body = if *method == Method::HEAD {
            if !is_bodyless(self.status) {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
            }
            Body::Empty
        } else {
            self.body.clone().into()
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// Statuses that never have a body (RFC 9110 §15.3.5, §15.4.5).
fn is_bodyless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::SET_COOKIE;
    use http_body_util::BodyExt;
    use stitch_config::data::Text;

    fn text(text: &str) -> Option<Data> {
        Some(Data::Text(Text { text: text.to_owned(), ..Text::default() }))
    }

    fn respond(status: u16, headers: &[(&'static str, &str)], body: Option<Data>) -> Respond {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        Respond::new(&model::Respond { status, headers: headers.collect(), body })
    }

    async fn body(response: Response<Body>) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn text_is_text_and_data_is_json_unless_a_type_is_written() {
        let json = Data::Map(vec![
            ("b".into(), Data::List(vec![Data::Null])),
            ("a".into(), Data::Bool(true)),
        ]);
        for (respond, kind, expected) in [
            (respond(200, &[], text("hi")), "text/plain; charset=utf-8", "hi"),
            (respond(503, &[], Some(json)), "application/json", "{\"b\":[null],\"a\":true}"),
            (respond(200, &[("content-type", "text/html")], text("<p>")), "text/html", "<p>"),
        ] {
            let response = respond.answer(&Method::POST);
            assert_eq!(response.headers()[CONTENT_TYPE], kind);
            assert_eq!(response.headers().get_all(CONTENT_TYPE).iter().count(), 1);
            assert_eq!(body(response).await, expected);
        }
    }

    #[tokio::test]
    async fn head_promises_the_length_and_sends_nothing() {
        let respond = respond(200, &[("set-cookie", "a=1"), ("set-cookie", "b=2")], text("four"));
        let response = respond.answer(&Method::HEAD);
        assert_eq!(response.headers()[CONTENT_LENGTH], "4");
        assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), 2);
        assert!(matches!(response.body(), Body::Empty));
        assert!(!respond.answer(&Method::GET).headers().contains_key(CONTENT_LENGTH));
    }

    #[tokio::test]
    async fn what_has_no_body_says_nothing_of_one() {
        for status in [204, 304] {
            for method in [Method::GET, Method::HEAD] {
                let response = respond(status, &[("x-a", "b")], text("lost")).answer(&method);
                assert_eq!(response.status().as_u16(), status);
                assert_eq!(response.headers().len(), 1, "{:?}", response.headers());
                assert!(body(response).await.is_empty());
            }
        }
        let bare = respond(404, &[], None).answer(&Method::GET);
        assert!(bare.headers().is_empty() && body(bare).await.is_empty());
    }
}
