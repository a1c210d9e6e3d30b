//! A node with the place where it stands, so that each complaint says where. Estimators read through this and nothing else.

use crate::LoadError;
use crate::array::Array;
use crate::node::{Document, Id, Node};

/// No object has as many; a look-up among more would be a way to keep us busy.
const MAX_ATTRIBUTES: usize = 1024;
/// Steps of a pipeline, transformers of a column transformer.
const MAX_STEPS: usize = 256;

/// A node, seen by an estimator's reader.
#[derive(Clone)]
pub(crate) struct View<'d> {
    document: &'d Document<'d>,
    id: Id,
    place: String,
}

/// A plain value: what a parameter, a class or a category is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plain {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Plain {
    pub(crate) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::None | Self::Text(_) => None,
        }
    }

    /// `None` and NaN both stand for a missing value.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::None) || matches!(self, Self::Float(value) if value.is_nan())
    }
}

impl<'d> View<'d> {
    pub(crate) fn root(document: &'d Document<'d>) -> Self {
        Self { document, id: document.root, place: "the model".to_owned() }
    }

    /// The root, at a place of this name.
    pub(crate) fn named(document: &'d Document<'d>, place: &str) -> Self {
        Self { document, id: document.root, place: place.to_owned() }
    }

    fn at(&self, id: Id, place: String) -> Self {
        Self { document: self.document, id, place }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn node(&self) -> &'d Node<'d> {
        self.document.get(self.id)
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> LoadError {
        LoadError::damaged(&*self.place, what)
    }

    /// The full name of the class, or of the type of a plain value.
    pub(crate) fn class(&self) -> &'d str {
        self.document.class_name(self.id).unwrap_or(match self.node() {
            Node::None => "None",
            Node::Bool(_) => "bool",
            Node::Int(_) | Node::Opaque => "int",
            Node::Float(_) => "float",
            Node::Text(_) => "str",
            Node::Bytes(_) => "bytes",
            Node::List(_) => "list",
            Node::Tuple(_) => "tuple",
            Node::Set(_) => "set",
            Node::Dict(_) => "dict",
            Node::Array(_) => "numpy.ndarray",
            Node::Dtype(_) => "numpy.dtype",
            Node::Class(_) | Node::Object(_) => "object",
        })
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self.node(), Node::None)
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> LoadError {
        LoadError::unsupported(self.class(), &*self.place, what)
    }

    pub(crate) fn unknown_class(&self) -> LoadError {
        LoadError::UnknownClass { class: self.class().to_owned(), place: self.place.clone() }
    }

    /// An attribute of an object; `None` if it has none of that name.
    pub(crate) fn find(&self, name: &str) -> Option<Self> {
        let Node::Object(object) = self.node() else { return None };
        let state = object.state?;
        let value = match self.document.get(state) {
            // (dict, slots): an object with __slots__
            Node::Tuple(parts) => parts.iter().find_map(|part| self.in_dict(*part, name)),
            _ => self.in_dict(state, name),
        };
        value.map(|id| self.at(id, format!("{}.{name}", self.place)))
    }

    fn in_dict(&self, dict: Id, name: &str) -> Option<Id> {
        let Node::Dict(pairs) = self.document.get(dict) else { return None };
        if pairs.len() > MAX_ATTRIBUTES {
            return None;
        }
        // the last of equal keys wins, as in Python
        pairs.iter().rev().find(|(key, _)| self.document.as_text(*key) == Some(name)).map(|(_, value)| *value)
    }

    /// An attribute that a fitted object must have.
    pub(crate) fn attr(&self, name: &str) -> Result<Self, LoadError> {
        self.find(name).ok_or_else(|| {
            self.damaged(format!(
                "{} has no attribute {name}: it was not fitted, or its version is not known",
                self.class()
            ))
        })
    }

    /// The arguments of an object.
    pub(crate) fn args(&self) -> Vec<Self> {
        let Node::Object(object) = self.node() else { return Vec::new() };
        object.args.iter().map(|id| self.at(*id, self.place.clone())).collect()
    }

    /// The members of a list, tuple, set, object array, or of an object that wraps a list (`UserList`).
    pub(crate) fn members(&self) -> Result<Vec<Self>, LoadError> {
        let ids = match self.node() {
            Node::Array(array) => array.objects(),
            Node::Object(object) if !object.items.is_empty() => Some(object.items.clone()),
            Node::Object(_) => return self.attr("data")?.plain_members(),
            _ => self.document.members(self.id).map(<[Id]>::to_vec),
        };
        let ids = ids.ok_or_else(|| self.damaged(format!("a list was expected, not {}", self.class())))?;
        Ok(ids.into_iter().enumerate().map(|(index, id)| self.at(id, format!("{}[{index}]", self.place))).collect())
    }

    /// The members, if there are not absurdly many.
    pub(crate) fn steps(&self) -> Result<Vec<Self>, LoadError> {
        let count = match self.node() {
            Node::Array(array) => array.len(),
            _ => self.document.members(self.id).map_or(0, <[Id]>::len),
        };
        if count > MAX_STEPS {
            return Err(LoadError::limit(&*self.place, format!("{count} steps, {MAX_STEPS} are granted")));
        }
        self.members()
    }

    fn plain_members(&self) -> Result<Vec<Self>, LoadError> {
        match self.node() {
            Node::Object(_) => Err(self.damaged("a list was expected")),
            _ => self.members(),
        }
    }

    /// The pairs of a dict.
    pub(crate) fn pairs(&self) -> Result<Vec<(Self, Self)>, LoadError> {
        let pairs = match self.node() {
            Node::Dict(pairs) => pairs,
            Node::Object(object) => &object.pairs,
            _ => return Err(self.damaged(format!("a dict was expected, not {}", self.class()))),
        };
        let pairs = pairs.iter().map(|(key, value)| {
            let name = self.document.as_text(*key).unwrap_or("?");
            (self.at(*key, self.place.clone()), self.at(*value, format!("{}[{name}]", self.place)))
        });
        Ok(pairs.collect())
    }

    pub(crate) fn array(&self) -> Result<&'d Array<'d>, LoadError> {
        match self.node() {
            Node::Array(array) => Ok(array),
            _ => Err(self.damaged(format!("an array was expected, not {}", self.class()))),
        }
    }

    pub(crate) fn text(&self) -> Result<&'d str, LoadError> {
        self.document.as_text(self.id).ok_or_else(|| self.damaged(format!("a text was expected, not {}", self.class())))
    }

    /// The bytes of a `bytes` or `bytearray`.
    pub(crate) fn bytes(&self) -> Result<&'d [u8], LoadError> {
        let id = match self.node() {
            Node::Object(object) if self.class() == "builtins.bytearray" => object.args.first().copied(),
            _ => Some(self.id),
        };
        match id.map(|id| self.document.get(id)) {
            Some(Node::Bytes(bytes)) => Ok(bytes),
            _ => Err(self.damaged(format!("bytes were expected, not {}", self.class()))),
        }
    }

    pub(crate) fn int(&self) -> Result<i64, LoadError> {
        self.document
            .as_int(self.id)
            .ok_or_else(|| self.damaged(format!("an integer was expected, not {}", self.class())))
    }

    /// A count or an index.
    pub(crate) fn index(&self) -> Result<usize, LoadError> {
        usize::try_from(self.int()?).map_err(|_| self.damaged("a count is negative"))
    }

    pub(crate) fn flag(&self) -> Result<bool, LoadError> {
        match self.node() {
            Node::Bool(value) => Ok(*value),
            _ => Err(self.damaged(format!("a truth value was expected, not {}", self.class()))),
        }
    }

    pub(crate) fn float(&self) -> Result<f64, LoadError> {
        self.plain().and_then(|plain| plain.as_f64()).ok_or_else(|| self.damaged("a number was expected"))
    }

    /// The numbers of an array or list.
    pub(crate) fn floats(&self) -> Result<Vec<f64>, LoadError> {
        let floats = match self.node() {
            Node::Array(array) if array.dtype.kind != b'O' => array.f64s(),
            _ => self.members()?.iter().map(|member| member.plain()?.as_f64()).collect(),
        };
        floats.ok_or_else(|| self.damaged("an array of numbers was expected"))
    }

    /// The plain values of an array or list, of mixed types.
    pub(crate) fn plains(&self) -> Result<Vec<Plain>, LoadError> {
        use crate::array::Number;
        if let Node::Array(array) = self.node()
            && array.dtype.kind != b'O'
        {
            if let Some(texts) = array.texts() {
                return Ok(texts.into_iter().map(Plain::Text).collect());
            }
            let numbers = array.numbers().ok_or_else(|| self.damaged("an element type is not supported"))?;
            let plain = |number| match number {
                Number::Bool(value) => Plain::Bool(value),
                Number::Int(value) => Plain::Int(value),
                Number::Float(value) => Plain::Float(value),
            };
            return Ok(numbers.into_iter().map(plain).collect());
        }
        let members = self.members()?;
        members
            .iter()
            .map(|member| member.plain().ok_or_else(|| member.damaged("a plain value was expected")))
            .collect()
    }

    /// The value, if it is a plain one. pandas' NA counts as missing.
    pub(crate) fn plain(&self) -> Option<Plain> {
        Some(match self.node() {
            Node::None => Plain::None,
            Node::Bool(value) => Plain::Bool(*value),
            Node::Int(value) => Plain::Int(*value),
            Node::Float(value) => Plain::Float(*value),
            Node::Text(text) => Plain::Text(text.to_string()),
            Node::Array(array) if array.shape.is_empty() => {
                let number = *array.numbers()?.first()?;
                Plain::Float(number.as_f64())
            }
            Node::Class(name) if &**name == "pandas._libs.missing.NA" => Plain::None,
            _ => return None,
        })
    }
}
