//! The model's tools.

use serde_json::json;

use super::*;

const LOOKUP: &str = "[[tools]]\nname = \"lookup_order\"\ndescription = \"Looks up an order.\"\n\
    url = \"https://orders.example.com/lookup\"\n";

/// Reads one file's text, in a directory of its own.
fn loaded(name: &str, text: &str) -> Loaded {
    let dir = Dir::new(name);
    Loaded::from_sources(&file(&dir.file("tools.toml", text))).unwrap()
}

fn names(settings: &Settings, route: usize) -> Vec<String> {
    let toolbox = settings.toolboxes()[route].clone().unwrap();
    toolbox.specs().into_iter().map(|tool| tool.name).collect()
}

#[test]
fn a_tool_needs_little_and_takes_more() {
    let dir = Dir::new("tool");
    let token = dir.file("token", " hunter2\n");
    let more = format!(
        "{LOOKUP}[[tools]]\nname = \"Book-2\"\ndescription = \"Books.\"\nurl = \"http://10.0.0.7:9000/book?code=sesame\"\n\
         timeout = \"1m 30s\"\ntoken_file = {:?}\n\
         parameters = {{ type = \"object\", additionalProperties = false, required = [\"n\"], \
         properties = {{ n = {{ type = \"number\", minimum = 0.5, maxLength = 3 }}, \"$x\" = {{ enum = [1, true] }} }} }}\n",
        token.display()
    );
    let s = load(&file(&dir.file("tools.toml", &more)));
    let [lookup, book] = s.tools.as_slice() else { panic!("{:?}", s.tools) };
    assert_eq!((lookup.timeout, lookup.token.clone()), (Duration::from_secs(10), None));
    assert_eq!(lookup.spec.parameters, json!({ "type": "object", "properties": {} }));
    assert_eq!(lookup.url.expose().to_string(), "https://orders.example.com/lookup");
    assert_eq!((book.timeout, book.token.as_ref().unwrap().expose()), (Duration::from_secs(90), "hunter2"));
    assert_eq!(book.url.expose().to_string(), "http://10.0.0.7:9000/book?code=sesame");
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["n"],
        "properties": { "n": { "type": "number", "minimum": 0.5, "maxLength": 3 }, "$x": { "enum": [1, true] } },
    });
    assert_eq!(book.spec.parameters, schema);

    let text = LOOKUP.to_owned() + r#"parameters = '{"type": "object", "properties": {"n": {"const": null}}}'"#;
    let schema = &loaded("schema-text", &text).settings.tools[0].spec.parameters;
    assert_eq!(*schema, json!({ "type": "object", "properties": { "n": { "const": null } } }));
}

#[test]
fn every_model_route_has_all_tools_unless_it_says_otherwise() {
    let s = load(&Sources::default());
    assert!(s.tools.is_empty() && s.toolboxes()[0].is_none(), "the echo route has no model");
    assert_eq!(names(&s, 1), ["hang_up", "transfer_call", "send_dtmf"]);

    let text = format!(
        "{LOOKUP}[[routes]]\nmatch = \"1\"\nkind = \"model\"\n\
         [[routes]]\nmatch = \"2\"\nkind = \"model\"\ntools = [\"lookup_order\", \"hang_up\"]\n\
         [[routes]]\nmatch = \"3\"\nkind = \"model\"\ntools = []\n\
         [[routes]]\nmatch = \"*\"\nkind = \"reject\"\n"
    );
    let s = loaded("route-tools", &text).settings;
    assert_eq!(names(&s, 0), ["hang_up", "transfer_call", "send_dtmf", "lookup_order"]);
    assert_eq!(names(&s, 1), ["hang_up", "lookup_order"]);
    assert!(names(&s, 2).is_empty());
    assert!(s.toolboxes()[3].is_none());
    for toolbox in s.toolboxes().iter().flatten() {
        let profile = s.realtime.profile(&RouteOverrides::default(), toolbox.specs());
        assert_eq!(profile.check().map_err(|error| error.to_string()), Ok(()));
    }
}

#[test]
fn transfers_go_where_calls_may_be_sent() {
    let s = loaded("destinations", "[sma]\nallowed_destinations = [\"+1206*\"]\n").settings;
    let toolbox = s.toolboxes()[1].clone().unwrap();
    assert!(toolbox.read("transfer_call", r#"{"to":"+12065550100"}"#).is_ok());
    assert!(toolbox.read("transfer_call", r#"{"to":"+13035550100"}"#).is_err());
    let s = loaded("no-destinations", "[sma]\nallowed_destinations = []\n").settings;
    assert_eq!(names(&s, 1), ["hang_up", "send_dtmf"]);
}

#[test]
fn tools_are_checked() {
    let dir = Dir::new("bad-tools");
    let (empty, two) = (dir.file("empty", "\n"), dir.file("two", "hunter2\nhunter3\n"));
    let (empty, two) = (format!("token_file = {empty:?}"), format!("token_file = {two:?}"));
    let added: &[(&str, &[&str])] = &[
        ("name = \"x\"", &["duplicate key"]),
        ("tone = 1", &["tools[0]", "unknown key tone", "name, description, parameters, url, timeout, token_file"]),
        ("timeout = \"50ms\"", &["tools[0]", "timeout = \"50ms\"", "100ms to 2m"]),
        ("timeout = \"3m\"", &["timeout = \"3m\""]),
        ("timeout = 10", &["timeout = \"10\"", "with its unit"]),
        ("timeout = [1]", &["timeout that is no text"]),
        ("parameters = 7", &["parameters that are neither", "JSON schema"]),
        ("parameters = {}", &["parameters", "type"]),
        ("parameters = { type = \"array\" }", &["parameters whose type is another"]),
        ("parameters = { type = \"object\", properties = [] }", &["properties are no table"]),
        ("parameters = { type = \"object\", required = [1] }", &["required is no list"]),
        ("parameters = { type = \"object\", maximum = inf }", &["that JSON cannot hold"]),
        ("parameters = '{'", &["that are no JSON"]),
        ("parameters = '[1]'", &["that are no object"]),
        ("token_file = \"/absent/token\"", &["token_file = \"/absent/token\"", "cannot be read"]),
        (&empty, &["token_file", "empty"]),
        (&two, &["token_file", "printable ASCII"]),
    ];
    for (line, parts) in added {
        file_refusal(&format!("{LOOKUP}{line}\n"), parts);
    }
    let replaced: &[(&str, &str, &[&str])] = &[
        ("lookup_order", "", &["tools[0]", "name = \"\"", "1 to 64 of A-Za-z0-9_-"]),
        ("lookup_order", "look up", &["name = \"look up\""]),
        ("lookup_order", &"x".repeat(65), &["1 to 64"]),
        ("lookup_order", "hang_up", &["name = \"hang_up\", which another tool has"]),
        ("name = \"lookup_order\"", "", &["no `name`"]),
        ("Looks up an order.", " ", &["no `description`"]),
        ("https://orders.example.com/lookup", "", &["url = \"\"", "https://"]),
        ("https://", "ftp://", &["url = \"ftp://orders.example.com/lookup\""]),
        ("https://", "", &["url = \"orders.example.com/lookup\""]),
        ("orders.example.com", "", &["url = \"https:///lookup\""]),
        (".com/", ".com:65536/", &["url = \"https://orders.example.com:65536/lookup\""]),
        (".com/", ".com:/", &["url = \"https://orders.example.com:/lookup\""]),
        ("url =", "address =", &["no `url`"]),
    ];
    for (this, by, parts) in replaced {
        file_refusal(&LOOKUP.replace(this, by), parts);
    }
    file_refusal(&format!("{LOOKUP}{LOOKUP}"), &["tools[1]", "lookup_order", "another tool"]);
    file_refusal("tools = [7]\n", &["tools", "[[tools]] tables"]);
}

#[test]
fn a_routes_tools_are_checked() {
    let cases: &[(&str, &[&str])] = &[
        (
            "kind = \"model\"\ntools = [\"lookup\"]",
            &["routes[0]", "\"lookup\"", "hang_up, transfer_call, send_dtmf, lookup_order"],
        ),
        ("kind = \"model\"\ntools = [\"hang_up\", \"hang_up\"]", &["routes[0]", "\"hang_up\" twice"]),
        ("kind = \"model\"\ntools = \"hang_up\"", &["routes[0]", "no list of names"]),
        ("kind = \"model\"\ntools = [[]]", &["routes[0]", "no list of names"]),
        ("kind = \"echo\"\ntools = []", &["routes[0]", "tools", "kind does not take"]),
    ];
    for (route, parts) in cases {
        file_refusal(&format!("{LOOKUP}[[routes]]\nmatch = \"*\"\n{route}\n"), parts);
    }
    file_refusal(
        "[sma]\nallowed_destinations = []\n[[routes]]\nmatch = \"*\"\nkind = \"model\"\ntools = [\"transfer_call\"]\n",
        &["routes[0]", "transfer_call", "sma.allowed_destinations is empty"],
    );
}

#[test]
fn a_tools_secrets_never_show() {
    let dir = Dir::new("tool-secrets");
    let token = dir.file("token", "hunter2");
    let text = LOOKUP.replace("/lookup", "/lookup?code=hunter2&n=1") + &format!("token_file = {token:?}\n");
    let loaded = Loaded::from_sources(&file(&dir.file("tools.toml", &text))).unwrap();
    let everything = format!("{loaded:?} {:#?}", loaded.settings);
    assert!(!everything.contains("hunter2"), "{everything}");
    let entry = loaded.entries.iter().find(|entry| entry.key == "tools").unwrap();
    let expected = format!(
        "[{{ name = \"lookup_order\", description = \"Looks up an order.\", \
         parameters = \"{{\\\"properties\\\":{{}},\\\"type\\\":\\\"object\\\"}}\", \
         url = \"https://orders.example.com/lookup?[redacted]\", timeout = \"10s\", token_file = {token:?} }}]"
    );
    assert_eq!(entry.shown, expected);

    for bad in [
        format!("{LOOKUP}token = \"hunter2\"\n"),
        format!("{LOOKUP}token_file = {token:?}\ntone = \"hunter2\"\n"),
        LOOKUP.replace("https://", "https://me:hunter2@"),
        LOOKUP.replace("https://", "ftp://").replace("/lookup", "/lookup?code=hunter2"),
        format!("{LOOKUP}token_file = {:?}\n", dir.file("bad", "hunter2 hunter2")),
    ] {
        let error = refusal(&file(&dir.file("bad.toml", &bad)));
        assert!(error.contains("tools[0]") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_shown_of_a_tool_can_be_read_again() {
    let first = loaded(
        "shown-tool",
        &format!("{LOOKUP}parameters = {{ type = \"object\", \"$comment\" = \"a \\\"b\\\"\" }}\n"),
    );
    let shown = &first.entries.iter().find(|entry| entry.key == "tools").unwrap().shown;
    let again = loaded("shown-again", &format!("tools = {shown}\n")).settings;
    assert_eq!(again.tools[0].spec, first.settings.tools[0].spec);
    assert_eq!(again.tools[0].url, first.settings.tools[0].url);
}
