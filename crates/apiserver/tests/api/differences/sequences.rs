//! Seeded sequences of writes to one object: applies of several managers, merge patches, JSON patches, PUTs, the status
//! subresource, deletes. Both servers get each request; a sequence ends at its first difference, because what follows
//! from it says nothing.

use futures::StreamExt;
use http::Method;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use super::definitions::{Definition, establish};
use super::ownership::{self, APPLY, JSON_PATCH, MERGE};
use super::side::{Answer, Side};
use super::transcript::{Difference, compare};

const JSON: &str = "application/json";
/// Requests of a sequence.
const STEPS: usize = 14;
/// Sequences at the same time.
const TOGETHER: usize = 8;

/// Runs sequences `first..last` against both servers.
pub(super) async fn differences(real: &Side, ours: &Side, first: u64, last: u64) -> Vec<Difference> {
    let definition = definition();
    tokio::join!(establish(real, &definition), establish(ours, &definition));
    let runs = (first..last).map(|seed| sequence(seed, &definition, real, ours));
    let found: Vec<Vec<Difference>> = futures::stream::iter(runs).buffered(TOGETHER).collect().await;
    found.concat()
}

async fn sequence(seed: u64, definition: &Definition, real: &Side, ours: &Side) -> Vec<Difference> {
    let mut draw = Draw(StdRng::seed_from_u64(seed));
    let name = format!("object-{seed}");
    let mut now: Option<(Answer, Answer)> = None;
    let mut sent = Vec::new();
    for step in 0..STEPS {
        let request = draw.request(definition, &name, now.as_ref());
        sent.push(request.to_string());
        let (to_real, to_ours) = &request.bodies;
        let (real_answer, our_answer) = tokio::join!(
            real.ask(
                request.method.clone(),
                &request.path,
                request.media,
                to_real.as_ref()
            ),
            ours.ask(
                request.method.clone(),
                &request.path,
                request.media,
                to_ours.as_ref()
            ),
        );
        let mut found = Vec::new();
        let at = format!("sequences/{seed}/{step} {} {}", request.method, request.media);
        let (seen_real, seen_ours) = (seen(&real_answer), seen(&our_answer));
        compare(&at, &seen_real, &seen_ours, &mut found);
        if !found.is_empty() {
            if let Some(why) = wanted(&request, &found, &real_answer, &our_answer) {
                println!("sequence {seed} ends with step {step}: {why}");
                return Vec::new();
            }
            println!(
                "sequence {seed}, as far as its first difference:\n{}\nKubernetes: {seen_real}\nGantry:     {seen_ours}\n\
                 said there: {}\nsaid here:  {}",
                sent.join("\n"),
                real_answer.body["message"],
                our_answer.body["message"]
            );
            return found;
        }
        if real_answer.code < 300 {
            let gone = request.method == Method::DELETE;
            now = (!gone).then_some((real_answer, our_answer));
        }
    }
    Vec::new()
}

/// What writes decide; of a failure also what it names.
fn seen(answer: &Answer) -> Value {
    let mut seen = ownership::seen(answer);
    let meta = &answer.body["metadata"];
    if answer.body["kind"] == "Status" {
        // Conflicts are told in the same words; their order is that of a map there.
        seen.as_object_mut().map(|seen| seen.remove("message"));
    } else {
        seen["annotations"] = meta["annotations"].clone();
        seen["finalizers"] = meta["finalizers"].clone();
    }
    seen
}

/// Why differences are wanted.
fn wanted(request: &Request, found: &[Difference], real: &Answer, ours: &Answer) -> Option<&'static str> {
    let emptied = |one: &Difference| one.real.is_null() && is_empty(&one.ours);
    if request.media == APPLY && ours.code == 200 && found.iter().all(emptied) {
        return Some("what apply emptied is null in Kubernetes, an empty map or list here");
    }
    let message = real.body["message"].as_str().unwrap_or_default();
    (real.code == 422
        && ours.code == 200
        && message.contains("must be of type")
        && message.contains("\"null\""))
    .then_some("Kubernetes refuses the null that its own merge made of what apply emptied")
}

/// Whether a map or list has nothing in it, or only such.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.iter().all(is_empty),
        _ => false,
    }
}

/// One request, with a body for each server: what a PUT sends is what the server said before.
struct Request {
    method: Method,
    path: String,
    media: &'static str,
    bodies: (Option<Value>, Option<Value>),
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = self.bodies.0.clone().unwrap_or_default();
        write!(f, "{} {} {} {body}", self.method, self.path, self.media)
    }
}

impl Request {
    fn new(method: Method, path: String, media: &'static str, body: Value) -> Self {
        Self {
            method,
            path,
            media,
            bodies: (Some(body.clone()), Some(body)),
        }
    }
}

/// A kind with every sort of list and map.
fn definition() -> Definition {
    let mut definition = Definition::new("sequences.example.dev", "diffs", "Diff").status();
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let mut atomic = texts.clone();
    atomic["x-kubernetes-map-type"] = "atomic".into();
    let items = json!({"type": "object", "required": ["name"], "properties": {"name": text, "count": number,
        "kind": {"type": "string", "default": "plain"},
        "size": {"type": "object", "properties": {"high": number, "wide": number}}}});
    let conditions = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {"type": "object", "required": ["type"], "properties": {"type": text, "status": text}}});
    definition.0["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "number": number,
            "preset": {"type": "string", "default": "preset"},
            "nullable": {"type": "string", "nullable": true},
            "map": texts,
            "atomicMap": atomic,
            "listMap": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": items},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
            "list": {"type": "array", "items": text},
            "nested": {"type": "object", "properties": {"x": number, "y": number,
                "z": {"type": "object", "properties": {"text": text}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
        "status": {"type": "object", "properties": {"phase": text, "conditions": conditions}}}});
    definition
}

/// Draws requests.
struct Draw(StdRng);

impl Draw {
    fn chance(&mut self, of_100: u32) -> bool {
        self.0.random_range(0..100) < of_100
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of.choose(&mut self.0).unwrap().clone()
    }

    /// Up to `most` of them, in any order.
    fn some(&mut self, of: &[&'static str], most: usize) -> Vec<&'static str> {
        let mut all = of.to_vec();
        all.shuffle(&mut self.0);
        all.truncate(self.0.random_range(0..=most));
        all
    }

    fn texts(&mut self, keys: &[&'static str]) -> Value {
        let keys = self.some(keys, 2);
        let pairs = keys
            .into_iter()
            .map(|key| (key.to_owned(), self.pick(&["1", "2"]).into()));
        Value::Object(pairs.collect::<Map<String, Value>>())
    }

    fn numbers(&mut self, keys: &[&'static str]) -> Value {
        let keys = self.some(keys, keys.len());
        let pairs = keys
            .into_iter()
            .map(|key| (key.to_owned(), self.pick(&[1, 2]).into()));
        Value::Object(pairs.collect::<Map<String, Value>>())
    }

    fn spec(&mut self) -> Value {
        let mut spec = json!({});
        if self.chance(50) {
            spec["number"] = self.pick(&[1, 2, 3]).into();
        }
        if self.chance(20) {
            spec["preset"] = self.pick(&["preset", "other"]).into();
        }
        if self.chance(10) {
            spec["nullable"] = self.pick(&[Value::Null, "text".into()]);
        }
        if self.chance(40) {
            spec["map"] = self.texts(&["a", "b", "c"]);
        }
        if self.chance(30) {
            spec["atomicMap"] = self.texts(&["a", "b", "c"]);
        }
        if self.chance(60) {
            let names = self.some(&["x", "y", "z"], 3);
            spec["listMap"] = names.into_iter().map(|name| self.item(name)).collect();
        }
        if self.chance(50) {
            spec["set"] = json!(self.some(&["i", "j", "k"], 3));
        }
        if self.chance(30) {
            spec["list"] = json!(self.some(&["i", "j", "i"], 2));
        }
        if self.chance(50) {
            spec["nested"] = self.numbers(&["x", "y"]);
            if self.chance(30) {
                spec["nested"]["z"] = self.pick(&[json!({}), json!({"text": "text"})]);
            }
        }
        if self.chance(30) {
            spec["free"] = json!({"key": self.pick(&[json!(1), json!({"q": 1}), json!([1]), json!({})])});
        }
        spec
    }

    fn item(&mut self, name: &str) -> Value {
        let mut item = json!({"name": name});
        if self.chance(50) {
            item["count"] = self.pick(&[1, 2]).into();
        }
        if self.chance(20) {
            item["kind"] = "fancy".into();
        }
        if self.chance(30) {
            item["size"] = self.numbers(&["high", "wide"]);
        }
        item
    }

    fn status(&mut self) -> Value {
        let mut status = json!({});
        if self.chance(60) {
            status["phase"] = self.pick(&["A", "B"]).into();
        }
        if self.chance(70) {
            let types = self.some(&["X", "Y", "Z"], 2);
            let one = |kind| json!({"type": kind, "status": self.pick(&["True", "False"])});
            status["conditions"] = types.into_iter().map(one).collect();
        }
        status
    }

    fn request(&mut self, definition: &Definition, name: &str, now: Option<&(Answer, Answer)>) -> Request {
        let path = format!("{}/{name}", definition.path("v1"));
        let mut object = definition.object("v1", name);
        object.as_object_mut().map(|object| object.remove("spec"));
        let force = self.chance(30);
        match self.0.random_range(0..100) {
            0..50 => {
                if self.chance(20) {
                    object["metadata"]["labels"] = self.texts(&["a", "b"]);
                }
                if self.chance(10) {
                    object["metadata"]["annotations"] = self.texts(&["a", "b"]);
                }
                if self.chance(95) {
                    object["spec"] = self.spec();
                }
                let manager = self.pick(&["one", "two", "three"]);
                let path = format!("{path}?fieldManager={manager}&force={force}");
                Request::new(Method::PATCH, path, APPLY, object)
            }
            50..65 => {
                let mut spec = self.spec();
                for value in spec.as_object_mut().into_iter().flat_map(Map::values_mut) {
                    if self.chance(10) {
                        *value = Value::Null;
                    }
                }
                let path = format!("{path}?fieldManager={}", self.pick(&["editor", "one"]));
                Request::new(Method::PATCH, path, MERGE, json!({"spec": spec}))
            }
            65..75 => {
                let spec = self.spec();
                let path = format!("{path}?fieldManager={}", self.pick(&["put", "editor"]));
                let (stale, bare) = (self.chance(10), self.chance(20));
                let Some((real, ours)) = now.filter(|_| !bare) else {
                    // Without a version: replaces whatever there is, and makes nothing.
                    object["spec"] = spec;
                    return Request::new(Method::PUT, path, JSON, object);
                };
                let of = |answer: &Answer| {
                    let mut object = answer.body.clone();
                    object["spec"] = spec.clone();
                    if stale {
                        object["metadata"]["resourceVersion"] = "1".into();
                    }
                    Some(object)
                };
                Request {
                    method: Method::PUT,
                    path,
                    media: JSON,
                    bodies: (of(real), of(ours)),
                }
            }
            75..84 => {
                object["status"] = self.status();
                let manager = self.pick(&["controller", "other-controller"]);
                let path = format!("{path}/status?fieldManager={manager}&force={force}");
                Request::new(Method::PATCH, path, APPLY, object)
            }
            84..89 => {
                let path = format!("{path}/status?fieldManager=editor");
                Request::new(Method::PATCH, path, MERGE, json!({"status": self.status()}))
            }
            89..97 => {
                let patch = self.pick(&[
                    json!([{"op": "add", "path": "/spec/number", "value": 2}]),
                    json!([{"op": "remove", "path": "/spec/number"}]),
                    json!([{"op": "replace", "path": "/spec/listMap/0/count", "value": 2}]),
                    json!([{"op": "test", "path": "/spec/number", "value": 1}]),
                    json!([{"op": "test", "path": "/spec/map", "value": null}]),
                    json!([{"op": "replace", "path": "/spec/nothing/here", "value": 1}]),
                    json!([{"op": "add", "path": "/spec/set/-", "value": "l"}]),
                    json!([{"op": "move", "from": "/spec/map", "path": "/spec/atomicMap"}]),
                    json!([{"op": "copy", "from": "/spec/number", "path": "/spec/nested/x"}]),
                    json!([{"op": "replace", "path": "/spec/list", "value": []}]),
                ]);
                Request::new(
                    Method::PATCH,
                    format!("{path}?fieldManager=patch"),
                    JSON_PATCH,
                    patch,
                )
            }
            97..98 => Request {
                method: Method::DELETE,
                path,
                media: JSON,
                bodies: (None, None),
            },
            _ => {
                object["spec"] = self.spec();
                let path = format!("{}?fieldManager=maker", definition.path("v1"));
                Request::new(Method::POST, path, JSON, object)
            }
        }
    }
}
