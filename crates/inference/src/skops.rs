//! skops files: a zip archive of `schema.json` (the tree of objects) and `.npy` arrays. Data only, by design of the format; we
//! read it into the same inert nodes as a pickle.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::LoadError;
use crate::archive::Archive;
use crate::array::{Array, Data, Dtype};
use crate::json::Json;
use crate::node::{Document, Id, Node, Object};
use crate::npy;
use crate::pickle::scalar_node;

/// Deeper than any model; `serde_json` itself stops at 128.
const MAX_DEPTH: usize = 128;

/// Reads a skops file; `budget` bounds what is inflated.
pub(crate) fn read<'a>(file: &'a str, bytes: &'a [u8], budget: usize) -> Result<Document<'a>, LoadError> {
    let mut archive = Archive::open(file, bytes, budget)?;
    let schema = archive.read("schema.json")?;
    let schema: Json<'_> =
        serde_json::from_slice(&schema).map_err(|error| LoadError::damaged(file, format!("schema.json: {error}")))?;
    let mut reader = Reader { file, archive, document: Document::default(), arrays: HashMap::new() };
    let root = reader.node(&schema, 0)?;
    reader.document.root = root;
    Ok(reader.document)
}

struct Reader<'a> {
    file: &'a str,
    archive: Archive<'a>,
    document: Document<'a>,
    /// Arrays by entry: an entry is read once, however often it is referred to.
    arrays: HashMap<String, Id>,
}

impl<'a> Reader<'a> {
    fn damaged(&self, what: impl Into<String>) -> LoadError {
        LoadError::damaged(self.file, what)
    }

    fn add(&mut self, node: Node<'a>) -> Result<Id, LoadError> {
        self.document.add(node).map_err(|_| LoadError::limit(self.file, "too many values"))
    }

    fn node(&mut self, fields: &Json<'_>, depth: usize) -> Result<Id, LoadError> {
        if !matches!(fields, Json::Map(_)) {
            return Err(self.damaged("a node of schema.json is no object"));
        }
        if depth > MAX_DEPTH {
            return Err(LoadError::limit(self.file, "schema.json is nested too deep"));
        }
        let loader = fields.text("__loader__").unwrap_or_default();
        let depth = depth + 1;
        let id = match loader {
            "JsonNode" => self.json(fields)?,
            "ListNode" => self.members(fields, depth).map(Node::List).and_then(|node| self.add(node))?,
            "TupleNode" => self.members(fields, depth).map(Node::Tuple).and_then(|node| self.add(node))?,
            "SetNode" => self.members(fields, depth).map(Node::Set).and_then(|node| self.add(node))?,
            "DictNode" => self.dict(fields, depth)?,
            "DefaultDictNode" | "_DictWithDeprecatedKeysNode" => {
                match fields.get("content").and_then(|c| c.get("main")) {
                    Some(main) => self.node(main, depth)?,
                    None => self.add(Node::Opaque)?,
                }
            }
            "NdArrayNode" => self.array(fields, depth)?,
            "DTypeNode" => self.dtype(fields, depth)?,
            "TypeNode" | "FunctionNode" => {
                let class = class_name(fields);
                self.add(Node::Class(class.into()))?
            }
            "SliceNode" => self.slice(fields)?,
            // no version of skops writes it; following it would let a small file describe a huge model
            "CachedNode" => return Err(self.damaged("cached nodes are not read")),
            "BytesNode" | "BytearrayNode" => {
                let contents = self.archive.read(fields.text("file").unwrap_or_default())?;
                self.add(Node::Bytes(contents))?
            }
            _ => self.object(fields, depth)?,
        };
        Ok(id)
    }

    /// A number, truth value, text or null, written as JSON inside JSON.
    fn json(&mut self, fields: &Json<'_>) -> Result<Id, LoadError> {
        let content = fields.text("content").ok_or_else(|| self.damaged("a JsonNode has no content"))?;
        let node = match content {
            "NaN" => Node::Float(f64::NAN),
            "Infinity" => Node::Float(f64::INFINITY),
            "-Infinity" => Node::Float(f64::NEG_INFINITY),
            _ => match serde_json::from_str::<Json<'_>>(content) {
                Ok(Json::Null) => Node::None,
                Ok(Json::Bool(value)) => Node::Bool(value),
                Ok(Json::Text(value)) => Node::Text(Cow::Owned(value.into_owned())),
                Ok(Json::Int(value)) => Node::Int(value),
                Ok(Json::Float(value)) => Node::Float(value),
                Ok(Json::List(_) | Json::Numbers(_) | Json::Map(_)) => Node::Opaque,
                Err(error) => return Err(self.damaged(format!("a JsonNode: {error}"))),
            },
        };
        self.add(node)
    }

    fn members(&mut self, fields: &Json<'_>, depth: usize) -> Result<Vec<Id>, LoadError> {
        match fields.get("content") {
            Some(Json::List(members)) => members.iter().map(|member| self.node(member, depth)).collect(),
            _ => Err(self.damaged("a list of schema.json has no content")),
        }
    }

    fn dict(&mut self, fields: &Json<'_>, depth: usize) -> Result<Id, LoadError> {
        let Some(Json::Map(content)) = fields.get("content") else {
            return Err(self.damaged("a dict of schema.json has no content"));
        };
        let mut pairs = Vec::with_capacity(content.len());
        for (key, value) in content {
            // a key of another type stands here as its text: `Document::as_int` reads it back
            let key = self.add(Node::Text(Cow::Owned(key.clone().into_owned())))?;
            pairs.push((key, self.node(value, depth)?));
        }
        self.add(Node::Dict(pairs))
    }

    fn array(&mut self, fields: &Json<'_>, depth: usize) -> Result<Id, LoadError> {
        match fields.text("type") {
            Some("numpy") => {
                let entry = fields.text("file").ok_or_else(|| self.damaged("an array has no file"))?;
                if let Some(id) = self.arrays.get(entry) {
                    return Ok(*id);
                }
                let array =
                    npy::read(self.archive.read(entry)?).map_err(|what| self.damaged(format!("{entry}: {what}")))?;
                let node = if array.shape.is_empty() {
                    scalar_node(&array).ok_or_else(|| self.damaged(format!("{entry}: no scalar")))?
                } else {
                    Node::Array(Box::new(array))
                };
                let id = self.add(node)?;
                self.arrays.insert(entry.to_owned(), id);
                Ok(id)
            }
            Some("json") => self.object_array(fields, depth),
            _ => Err(self.damaged("an array of schema.json has no known type")),
        }
    }

    /// Object arrays are nested lists with a shape beside them.
    fn object_array(&mut self, fields: &Json<'_>, depth: usize) -> Result<Id, LoadError> {
        let shape = fields.get("shape").ok_or_else(|| self.damaged("an object array has no shape"))?;
        let shape = self.node(shape, depth)?;
        let sides = self.document.members(shape).unwrap_or_default();
        let shape = sides.iter().map(|side| usize::try_from(self.document.as_int(*side)?).ok());
        let shape: Vec<usize> =
            shape.collect::<Option<_>>().ok_or_else(|| self.damaged("an object array has no shape"))?;
        let mut ids = self.members(fields, depth)?;
        for _ in 1..shape.len().min(MAX_DEPTH) {
            let rows = ids.iter().map(|id| self.document.members(*id).unwrap_or_default());
            ids = rows.flatten().copied().collect();
        }
        let dtype = Dtype { kind: b'O', size: 8, ..Dtype::default() };
        let array = Array::new(dtype, shape, false, Data::Objects(ids));
        let array = array.ok_or_else(|| self.damaged("an object array does not fit its shape"))?;
        self.add(Node::Array(Box::new(array)))
    }

    /// skops writes an element type as an empty array of it.
    fn dtype(&mut self, fields: &Json<'_>, depth: usize) -> Result<Id, LoadError> {
        let content = fields.get("content").ok_or_else(|| self.damaged("an element type has no content"))?;
        let id = self.node(content, depth)?;
        let node = match self.document.get(id) {
            Node::Array(array) => Node::Dtype(Box::new(array.dtype.clone())),
            _ => Node::Opaque,
        };
        self.add(node)
    }

    fn slice(&mut self, fields: &Json<'_>) -> Result<Id, LoadError> {
        let mut args = Vec::with_capacity(3);
        for name in ["start", "stop", "step"] {
            let part = fields.get("content").and_then(|content| content.get(name)).unwrap_or(&Json::Null);
            let node = match part {
                Json::Text(text) => Node::Text(Cow::Owned(text.clone().into_owned())),
                Json::Int(index) => Node::Int(*index),
                _ => Node::None,
            };
            args.push(self.add(node)?);
        }
        let class = self.add(Node::Class("builtins.slice".into()))?;
        self.add(Node::Object(Box::new(Object { class, args, ..Object::default() })))
    }

    /// Objects with a state, and whatever loader we have no use for: a class by name, its parts if they are nodes.
    fn object(&mut self, fields: &Json<'_>, depth: usize) -> Result<Id, LoadError> {
        let class = self.add(Node::Class(class_name(fields).into()))?;
        let mut object = Object { class, ..Object::default() };
        if let Some(args) = fields.get("__reduce__").and_then(|reduce| reduce.get("args")) {
            let args = self.node(args, depth)?;
            object.args = self.document.members(args).unwrap_or_default().to_vec();
        }
        if let Some(content) = fields.get("content").filter(|content| content.get("__loader__").is_some()) {
            object.state = Some(self.node(content, depth)?);
        }
        self.add(Node::Object(Box::new(object)))
    }
}

fn class_name(fields: &Json<'_>) -> String {
    let module = fields.text("__module__").unwrap_or("?");
    let class = fields.text("__class__").unwrap_or("?");
    if module.len() + class.len() > 1024 { "?".to_owned() } else { format!("{module}.{class}") }
}
