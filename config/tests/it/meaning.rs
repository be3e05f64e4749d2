//! What the file says becomes what the model holds.

use super::{config, read};
use std::path::Path;
use std::time::Duration;
use stitch_config::data::Data;
use stitch_config::load;
use stitch_config::model::{
    AccessLogOnly, AccessLogTarget, Events, Kind, Methods, Mode, Reaction, ResponseBody,
    RouteAction, Workers,
};

fn everything() -> stitch_config::Config {
    load(Path::new("tests/fixtures/valid/everything.yaml"), &super::env).config
}

#[test]
fn the_proxy_as_written() {
    let config = everything();
    assert_eq!(config.seed, Some(42));
    assert_eq!(config.events, Events::Nats("nats://localhost:4222".to_owned()));
    let proxy = config.proxy;
    assert_eq!(proxy.listen.len(), 4);
    assert_eq!(proxy.admin.token.unwrap().reveal(), "hunter2");
    assert_eq!(proxy.workers, Workers::Count(2));
    assert_eq!((proxy.forward.allow.len(), proxy.trust.len()), (3, 3));
    assert_eq!(proxy.access_log.only, AccessLogOnly::StatusFrom(500));
    let log = Path::new("tests/fixtures/valid/logs/access.log").to_owned();
    assert_eq!(proxy.access_log.to, AccessLogTarget::File(log));
    assert_eq!((proxy.limits.body, proxy.limits.header_bytes), (Some(10_000_000), 32 * 1024));
    assert_eq!((proxy.limits.idle, proxy.drain), (Duration::from_secs(90), Duration::ZERO));
}

#[test]
fn a_service_as_written() {
    let config = everything();
    let users = config.service("users").unwrap();
    assert_eq!(users.mode, Mode::RealThenMock);
    assert_eq!(users.mock_on, [404, 501]);
    assert_eq!(users.port, Some(8001), "typed after expansion");
    let upstreams: Vec<_> =
        users.upstreams.iter().map(|u| (u.authority(), u.base_path.as_str(), u.weight)).collect();
    assert_eq!(
        upstreams,
        [("localhost:8000".to_owned(), "/v1", 1), ("[::1]:8010".to_owned(), "", 2)]
    );
    let env: Vec<_> = users.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(env, [("PORT", "8000"), ("DEBUG", "true"), ("EMPTY", "")]);
    let command = users.command.as_ref().unwrap();
    assert_eq!(command.argv.last().unwrap(), "users service");
    assert_eq!(command.directory, Path::new("tests/fixtures/valid"));
    assert!(command.proxied);
    assert_eq!(users.timeout.request, Some(Duration::from_secs(5)));
    assert_eq!(users.timeout.connect, Duration::from_millis(500), "inherited");
    assert_eq!(users.health_path.as_deref(), Some("/ready"));
    assert_eq!(users.hosts[2].port, Some(8080));
    assert_eq!(config.service("broker").unwrap().kind, Kind::Infra);
    let payments = config.service("payments").unwrap();
    assert_eq!(payments.timeout.request, Some(Duration::from_secs(30)), "inherited");
    assert_eq!(payments.timeout.connect, Duration::from_secs(1));
}

#[test]
fn endpoints_as_written() {
    let config = everything();
    let endpoints = &config.service("payments").unwrap().endpoints;
    let ids: Vec<_> = endpoints.iter().map(|endpoint| &*endpoint.id).collect();
    assert_eq!(
        ids[..3],
        ["payments GET|HEAD /charges/{id}", "payments ANY /static/**", "payments GET ~^/v[12]/x$"]
    );
    let charge = &endpoints[0];
    assert_eq!(charge.path_in_file, "services.payments.endpoints[0]");
    assert_eq!((charge.response.status, charge.response.descriptor), (201, true));
    let headers: Vec<_> = charge
        .response
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.text.as_str()))
        .collect();
    assert_eq!(headers[1..], [("x-count", "3"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    let ResponseBody::Json(body) = &charge.response.body else { panic!("{charge:?}") };
    assert_eq!(body.to_json().to_string(), r#"{"id":"{{ uuid }}","tags":["a",null,1.5,true]}"#);
    let delay = charge.delay.unwrap();
    assert_eq!((delay.min.as_millis(), delay.max.as_millis()), (20, 80));
    assert_eq!((charge.failures[0].share, charge.failures[0].status), (0.05, 500));
    assert_eq!(charge.publishes[0].delay, Some(Duration::from_secs(1)));
    assert_eq!(endpoints[1].methods, Methods::Any);
    assert!(matches!(&endpoints[1].response.body, ResponseBody::File(path, place)
        if path == Path::new("tests/fixtures/valid/./page.html") && place.line > 0));
    assert!(
        matches!(&endpoints[2].response.body, ResponseBody::Text(text) if text.text == "plain text")
    );
    assert_eq!(endpoints[3].response.status, 410);
    assert_eq!(endpoints[5].response.body, ResponseBody::Json(Data::Null));
}

#[test]
fn equal_endpoints_have_ids_of_their_own() {
    let config = config(
        "services: { a: { endpoints: [{ path: /x }, { path: /x }, { path: /x, method: GET }] } }",
    );
    let ids: Vec<_> = config.services[0].endpoints.iter().map(|e| e.id.to_string()).collect();
    assert_eq!(ids, ["a GET /x", "a GET /x #2", "a GET /x #3"]);
}

#[test]
fn subscriptions_act_or_reply() {
    let config = everything();
    let subscriptions = &config.service("payments").unwrap().subscriptions;
    let Reaction::Action(action) = &subscriptions[0].reaction else { panic!("an action") };
    assert_eq!(
        (action.method.as_str(), action.path.text.as_str()),
        ("POST", "/notify/{{ message.data.id }}")
    );
    assert_eq!(subscriptions[1].subject, "quotes.>");
    assert!(matches!(&subscriptions[1].reaction, Reaction::Reply(Data::Map(_))));
}

#[test]
fn routes_as_written() {
    let config = everything();
    assert_eq!(&*config.routes[0].id, "route 1 /api/users/**");
    let shop = &config.routes[1];
    assert_eq!(shop.matches.hosts.len(), 2);
    assert_eq!(shop.matches.headers[0].1, "1");
    assert_eq!(shop.matches.query, [("v".to_owned(), "2".to_owned())]);
    assert_eq!((shop.priority, shop.timeout.request), (-5, Some(Duration::from_secs(3))));
    let RouteAction::Services { targets, .. } = &shop.action else { panic!("services") };
    let weights: Vec<_> = targets.iter().map(|target| (&*target.service, target.weight)).collect();
    assert_eq!(weights, [("users", 90), ("payments", 1), ("payments", 1)]);
    assert!(matches!(&config.routes[2].action, RouteAction::Redirect { status: 308, .. }));
    assert_eq!(config.routes[4].action, RouteAction::Stitch);
    assert!(config.routes[5].matches.methods.is_empty(), "ANY is no condition");
    assert_eq!(&*config.routes.last().unwrap().id, "route 8 /prices/**", "from an included file");
}

#[test]
fn a_map_is_a_descriptor_only_by_its_keys() {
    for (response, descriptor) in [
        ("{ status: 201 }", true),
        ("{ body: x }", true),
        ("{ file: x }", true),
        ("{ status: 201, headers: { a: b } }", true),
        ("{ headers: { a: b } }", false),
        ("{ status: ok }", false),
        ("{ status: \"201\" }", false),
        ("{ status: 2.5 }", false),
        ("{ status: 201, id: 1 }", false),
        ("{ body: x, other: 1 }", false),
        ("{}", false),
    ] {
        let config = config(&format!(
            "services: {{ a: {{ endpoints: [{{ path: /, response: {response} }}] }} }}"
        ));
        let spec = &config.services[0].endpoints[0].response;
        assert_eq!(spec.descriptor, descriptor, "{response}");
        assert_eq!(matches!(spec.body, ResponseBody::Json(_)), !descriptor, "{response}");
    }
}

#[test]
fn strings_of_bodies_know_their_places() {
    let text = "services:\n  a:\n    endpoints:\n      - path: /\n        response: { note: \"{{ x }}\" }\n";
    let config = config(text);
    let ResponseBody::Json(Data::Map(body)) = &config.services[0].endpoints[0].response.body else {
        panic!("a body")
    };
    let Data::Text(note) = &body[0].1 else { panic!("text") };
    assert_eq!((note.place.line, note.place.column, note.place.width), (5, 27, 9));
}

#[test]
fn the_best_is_made_of_a_file_with_mistakes() {
    let loaded = read(
        "services:\n\
         \x20 a: { url: http://localhost:1, port: x, endpoints: [{ path: bad }, { path: /good }] }\n\
         \x20 b: { url: http://localhost:2 }\n\
         routes: [{ match: /x, to: nope }, { match: /y, to: b }]\n",
    );
    assert_eq!(loaded.report.errors(), 3, "{}", loaded.report.render(&loaded.sources));
    assert_eq!(loaded.config.services.len(), 2);
    assert_eq!(loaded.config.services[0].endpoints.len(), 1);
    assert_eq!(loaded.config.routes.len(), 1);
    assert_eq!(&*loaded.config.routes[0].id, "route 2 /y");
}

#[test]
fn what_compose_fills_in_itself_is_left_to_it() {
    let config = config(
        "services:\n\
         \x20 db:\n\
         \x20   type: infra\n\
         \x20   image: postgres\n\
         \x20   volumes: [\"${HOME}/db:/data\"]\n\
         \x20   environment: [\"A=${B}\"]\n",
    );
    assert_eq!(config.services[0].volumes, ["${HOME}/db:/data"]);
    let environment = config.services[0].environment.as_ref().unwrap().to_json();
    assert_eq!(environment[0], "A=${B}");
}

#[test]
fn secrets_stay_out_of_messages() {
    let loaded =
        read("events: \"nats://u:hunter2@\\n\"\nservices: { a: { url: \"http://u:hunter2@h\" } }");
    assert_eq!(loaded.report.errors(), 2);
    for problem in loaded.report.sorted() {
        assert!(!problem.message.contains("hunter2"), "{}", problem.message);
    }
}
