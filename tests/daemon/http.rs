//! The HTTP server and its contract: each path of it answers, to whom it may, and in the shapes that it tells.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::harness::http::{Answer, Ask, HttpMaster};
use crate::harness::scratch;

pub const BASE: &str = "/api/v1";

const TOKENS: &str = "board:read:r-secret\nshop:submit:s-secret\nhosts:work:w-secret\nops:admin:a-secret\n";

/// The contract, as the server tells it.
pub struct Contract(Value);

/// One method of one path.
pub struct Operation<'c> {
    pub method: &'c str,
    /// With the names of its parameters in braces.
    pub path: &'c str,
    told: &'c Value,
}

impl Contract {
    pub fn of(master: &HttpMaster) -> Contract {
        let answer = master.get("/api/v1/openapi.json").expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        Contract(answer.json())
    }

    pub fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().expect("paths");
        let of_path = |(path, methods): (&'_ String, &'_ Value)| (path.clone(), methods.clone());
        assert!(paths.iter().map(of_path).all(|(path, methods)| path.starts_with('/') && methods.is_object()));
        let all = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").iter();
            methods.map(move |(method, told)| Operation { method, path, told })
        });
        all.collect()
    }

    /// The operation that this request is one of: of a path that fits twice the one with fewer parameters.
    #[track_caller]
    fn find(&self, method: &str, path: &str) -> Operation<'_> {
        let fits = |operation: &Operation<'_>| {
            let (known, given): (Vec<&str>, Vec<&str>) =
                (operation.path.split('/').collect(), path.split('/').collect());
            let same = known.iter().zip(&given).all(|(known, given)| known.starts_with('{') || known == given);
            known.len() == given.len() && same && operation.method.eq_ignore_ascii_case(method)
        };
        let found = self.operations().into_iter().filter(fits).min_by_key(|found| found.path.matches('{').count());
        found.unwrap_or_else(|| panic!("the contract has no {method} {path}"))
    }

    /// A value must fit a schema of the contract.
    #[track_caller]
    fn fits(&self, schema: &Value, value: &Value, what: &str) {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.0["components"],
            "allOf": [schema],
        });
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
    }

    /// A request must be as the contract says, and so must its answer.
    #[track_caller]
    pub fn check(&self, method: &str, path: &str, body: Option<&Value>, answer: &Answer) -> (String, String) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let operation = self.find(method, path);
        let what = format!("{method} {path}?{query}");
        let names: BTreeSet<&str> = self.parameters(&operation, "query").into_iter().collect();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            assert!(names.contains(name), "{what}: the contract has no {name:?}");
        }
        if let Some(body) = body {
            self.fits(&operation.told["requestBody"]["content"]["application/json"]["schema"], body, &what);
        }
        let told = &operation.told["responses"][answer.status.to_string()]["content"];
        let kinds = told.as_object().unwrap_or_else(|| panic!("{what}: {} {}", answer.status, answer.text()));
        let (kind, how) = kinds.iter().next().expect("a type of its answer");
        assert_eq!(answer.header("content-type"), kind, "{what}");
        if kind == "application/json" {
            self.fits(&how["schema"], &answer.json(), &what);
        }
        (operation.method.to_owned(), operation.path.to_owned())
    }

    /// A problem must be as the contract says.
    #[track_caller]
    pub fn is_problem(&self, answer: &Answer) {
        assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text());
        self.fits(&json!({"$ref": "#/components/schemas/Problem"}), &answer.json(), "a problem");
    }

    /// The names of the parameters of an operation that are there.
    fn parameters<'c>(&'c self, operation: &Operation<'c>, place: &str) -> Vec<&'c str> {
        let all = operation.told["parameters"].as_array().into_iter().flatten();
        let found = all.filter_map(|parameter| {
            let name = parameter["$ref"].as_str()?.rsplit('/').next()?;
            Some(&self.0["components"]["parameters"][name])
        });
        found.filter(|found| found["in"] == place).filter_map(|found| found["name"].as_str()).collect()
    }
}

impl Operation<'_> {
    /// The role that it needs; none for what needs no token.
    fn role(&self) -> Option<&str> {
        self.told["security"].get(0).map(|of| of["bearer"][0].as_str().expect("a role"))
    }

    /// A path of this operation.
    fn some_path(&self) -> String {
        let part = |part: &str| match part {
            "{job}" => "1".to_owned(),
            "{verb}" => "cancel".to_owned(),
            "{order}" => "quiet".to_owned(),
            part => part.trim_matches(['{', '}']).to_owned(),
        };
        let parts: Vec<String> = self.path.split('/').map(part).collect();
        format!("{BASE}{}", parts.join("/"))
    }
}

/// A master with a token of each role.
pub fn guarded() -> (tempfile::TempDir, HttpMaster) {
    let dir = scratch();
    let file = dir.path().join("tokens");
    fs::write(&file, TOKENS).expect("tokens");
    let master = HttpMaster::fresh(&["--token-file", file.to_str().expect("a plain path")]);
    (dir, master)
}

#[test]
fn each_operation_of_the_contract_wants_a_token_and_no_other_is_there() {
    let (_dir, master) = guarded();
    let contract = Contract::of(&master);
    let operations = contract.operations();
    assert!(operations.len() > 40, "{}", operations.len());
    for operation in &operations {
        let (method, path) = (operation.method.to_uppercase(), operation.some_path());
        let answer = master.ask(&Ask::new(&method, &path));
        if operation.role().is_none() {
            assert_eq!((operation.path, answer.status), ("/openapi.json", 200));
            continue;
        }
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        contract.is_problem(&answer);
        let names: Vec<&str> = operation.path.split('/').filter(|part| part.starts_with('{')).collect();
        let names: Vec<&str> = names.iter().map(|name| name.trim_matches(['{', '}'])).collect();
        assert_eq!(contract.parameters(operation, "path"), names, "{method} {path}");
    }
    let paths: BTreeSet<&str> = operations.iter().map(|operation| operation.path).collect();
    for path in paths {
        let known: Vec<&Operation<'_>> = operations.iter().filter(|operation| operation.path == path).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if !known.iter().any(|operation| operation.method.eq_ignore_ascii_case(method)) {
                let said = master.ask(&Ask::new(method, &known[0].some_path())).problem(405, "WrongMethod");
                assert!(said.contains("openapi.json"), "{said}");
            }
        }
    }
    for path in ["/api/v1", "/api/v2/jobs", "/api/v1/job", "/api/v1/jobs/1/nothing"] {
        let said = master.get(path).problem(404, "NoSuchPath");
        assert!(said.contains(path), "{said}");
    }
    master.master.stop();
}

#[test]
fn each_operation_needs_the_role_that_the_contract_says() {
    let (_dir, master) = guarded();
    let contract = Contract::of(&master);
    for (role, secret) in [("read", "r-secret"), ("submit", "s-secret"), ("work", "w-secret"), ("admin", "a-secret")] {
        for operation in contract.operations() {
            let Some(needed) = operation.role() else { continue };
            let (method, path) = (operation.method.to_uppercase(), operation.some_path());
            let described = operation.told["description"].as_str().unwrap_or_default();
            assert!(described.ends_with(&format!("Needs the role {needed}.")), "{method} {path}: {described}");
            let may = role == "admin" || needed == "read" || needed == role;
            // Those that wait say so with a body or a query, and none is sent here; a stream has no end.
            if may && (path.ends_with("/wait") || path.ends_with("/events")) {
                continue;
            }
            let answer = master.ask(&Ask::new(&method, &path).token(secret));
            assert!(may || answer.status == 403, "{role}: {method} {path}: {}", answer.text());
            assert!(!may || ![401, 403].contains(&answer.status), "{role}: {method} {path}: {}", answer.text());
            if !may {
                let said = answer.problem(403, "Forbidden");
                assert!(said.contains(&format!("this needs the role {needed}; the token")), "{said}");
            }
        }
    }
    let wrong = master.ask(&Ask::new("GET", "/api/v1/stats").token("of somebody else"));
    wrong.problem(401, "Unauthorized");
    master.master.stop();
}
