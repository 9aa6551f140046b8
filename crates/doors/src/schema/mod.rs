//! What the doors know of JSON Schema: which value each keyword takes, where its
//! local references lead ([`refs`]), and how a schema becomes part of another
//! document ([`embed`]).
//!
//! An app's schema is never evaluated here: whether arguments fit it is for the
//! app to check.

pub(crate) mod embed;
pub(crate) mod refs;

use agent_socket_wire::limits::MAX_SCHEMA_DEPTH as MAX_DEPTH;

/// What value a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A schema.
    Schema,
    /// An object whose values are schemas.
    SchemasByName,
    /// An array of schemas, not empty.
    SchemaList,
    /// A schema, or in drafts up to 2019-09 an array of schemas.
    Items,
    /// A reference to a schema.
    Ref,
    /// The name of a type, or an array of such names.
    Type,
    /// A string.
    Text,
    /// A string that is shown to a reader.
    Description,
    /// A number.
    Number,
    /// A number above 0.
    PositiveNumber,
    /// A whole number from 0.
    Count,
    /// `true` or `false`.
    Bool,
    /// An array.
    List,
    /// An array of strings, each of them once.
    Names,
    /// An object whose values are such arrays.
    NamesByName,
    /// Anything, but an embedded schema may not have the keyword.
    NotEmbedded,
    /// Anything: the keyword is unknown, or its value is data.
    Any,
}

impl Shape {
    /// What value this keyword takes in JSON Schema 2020-12.
    pub(crate) fn of(keyword: &str) -> Self {
        match keyword {
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                Self::SchemasByName
            }
            "additionalProperties"
            | "contains"
            | "not"
            | "if"
            | "then"
            | "else"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "contentSchema" => Self::Schema,
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => Self::SchemaList,
            "items" => Self::Items,
            "$ref" => Self::Ref,
            "type" => Self::Type,
            "title" | "format" | "pattern" | "contentEncoding" | "contentMediaType" => Self::Text,
            "description" => Self::Description,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Self::Number,
            "multipleOf" => Self::PositiveNumber,
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" | "minContains" | "maxContains" => Self::Count,
            "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" => Self::Bool,
            "enum" | "examples" => Self::List,
            "required" => Self::Names,
            "dependentRequired" => Self::NamesByName,
            // OpenAPI gives the last three a meaning and a form of its own, and
            // the `mapping` of a `discriminator` holds further references.
            "$schema" | "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef"
            | "$recursiveAnchor" | "$vocabulary" | "$comment" | "discriminator" | "xml"
            | "externalDocs" => Self::NotEmbedded,
            _ => Self::Any,
        }
    }
}
