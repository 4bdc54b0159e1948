//! The speech API as an OpenAPI 3.1 document, made from the types that it is read
//! and written with.

use std::sync::LazyLock;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    audio::AudioFormat,
    error::ErrorBody,
    headers,
    speech::{ModelInfo, ModelList, SpeechModelList, SpeechRequest, VoiceList},
};

/// The built-in voice's, in Hz.
const USUAL_RATE: u32 = 24_000;

/// Where it is served.
pub const PATH: &str = "/openapi.json";

/// The document, as JSON.
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let paths = json!({
        "/v1/audio/speech": {"post": speech(&mut schemas)},
        "/v1/audio/voices": {"get": list::<VoiceList>("listVoices", "The voices, the default one first.", &mut schemas)},
        "/v1/audio/models": {
            "get": list::<SpeechModelList>("listSpeechModels", "The models, in short.", &mut schemas)
        },
        "/v1/models": {"get": list::<ModelList>("listModels", "The models.", &mut schemas)},
        "/v1/models/{id}": {"get": model(&mut schemas)},
        "/health": {"get": {
            "operationId": "health",
            "summary": "Whether requests should be sent here.",
            "security": [],
            "responses": {
                "200": {"description": "They should.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                "503": {"description": "Not now, and why.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            },
        }},
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ttsfleet speech API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Text in, speech out, as in OpenAI's API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Where the fleet asks for API keys."},
            },
        },
    })
}

fn speech(schemas: &mut SchemaGenerator) -> Value {
    let audio = |format: AudioFormat| {
        let kind = format.content_type(format.rate_for(USUAL_RATE));
        (kind, json!({"schema": {"type": "string", "format": "binary"}}))
    };
    let mut content: Map<String, Value> = AudioFormat::ALL.into_iter().map(audio).collect();
    let events =
        json!({"schema": {"type": "string", "description": "Events, where `stream_format` is `sse`."}});
    content.insert("text/event-stream".to_owned(), events);
    let told = |name: &str, words: &str| {
        (name.to_owned(), json!({"description": words, "schema": {"type": "string"}}))
    };
    let told: Map<String, Value> = [
        told(headers::MODEL, "The model that spoke, `name@version`."),
        told(headers::SAMPLE_RATE, "Samples a second."),
        told(headers::IGNORED, "Fields of the request that mean nothing here."),
        told(headers::TRUNCATED, "`true` if the text was too long and has been cut."),
        told(headers::DEGRADED, "Why the answer is not all that it should be."),
    ]
    .into_iter()
    .collect();
    json!({
        "operationId": "createSpeech",
        "summary": "Speaks a text.",
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": schemas.subschema_for::<SpeechRequest>()}},
        },
        "responses": {
            "200": {"description": "The speech, as it is made.", "headers": told, "content": content},
            "default": failure(schemas),
        },
    })
}

fn list<T: JsonSchema>(operation: &str, summary: &str, schemas: &mut SchemaGenerator) -> Value {
    json!({
        "operationId": operation,
        "summary": summary,
        "responses": {
            "200": {
                "description": summary,
                "content": {"application/json": {"schema": schemas.subschema_for::<T>()}},
            },
            "default": failure(schemas),
        },
    })
}

fn model(schemas: &mut SchemaGenerator) -> Value {
    let mut one = list::<ModelInfo>("retrieveModel", "One model.", schemas);
    one["parameters"] = json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]);
    one
}

fn failure(schemas: &mut SchemaGenerator) -> Value {
    json!({
        "description": "What went wrong, and what to do instead.",
        "content": {"application/json": {"schema": schemas.subschema_for::<ErrorBody>()}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_there() {
        let text = &*DOCUMENT;
        let document: Value = serde_json::from_str(text).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let named: Vec<&str> =
            text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(named.len() > 8, "{named:?}");
        for name in named {
            assert!(schemas.contains_key(name), "{name}");
        }
        let speed = &schemas["SpeechRequest"]["properties"]["speed"];
        assert_eq!((&speed["minimum"], &speed["maximum"]), (&json!(0.25), &json!(4.0)));
        let lexicon = &schemas["SpeechRequest"]["properties"]["lexicon"];
        assert_eq!((&lexicon["type"], &lexicon["maxProperties"]), (&json!("object"), &json!(64)));
        assert_eq!(lexicon["additionalProperties"]["type"], "string");
        assert_eq!(schemas["SpeechRequest"]["required"], json!(["input"]));
    }
}
