//! What the readers build: an arena of inert nodes. References are indices, so a shared or cyclic structure costs nothing and can
//! do no harm; nothing here can be called.

use std::borrow::Cow;
use std::sync::Arc;

use crate::array::{Array, Dtype};

/// Index of a node in its document.
pub(crate) type Id = u32;

/// More nodes than any real model has; 32 bytes each.
const MAX_NODES: usize = 1 << 24;

/// One value as the file describes it.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function by its full dotted name. Only ever a name.
    Class(Arc<str>),
    Object(Box<Object>),
    Array(Box<Array<'a>>),
    Dtype(Box<Dtype>),
    /// Something that no estimator looks at (an integer beyond 64 bits).
    Opaque,
}

impl Node<'_> {
    /// Heap bytes that a copy of the node costs, roughly.
    pub(crate) fn weight(&self) -> usize {
        let owned = match self {
            Self::Text(Cow::Owned(text)) => text.len(),
            Self::Bytes(Cow::Owned(bytes)) => bytes.len(),
            Self::List(ids) | Self::Tuple(ids) | Self::Set(ids) => ids.len() * size_of::<Id>(),
            Self::Dict(pairs) => pairs.len() * size_of::<(Id, Id)>(),
            Self::Array(array) => array.weight(),
            Self::Dtype(dtype) => dtype.fields.len() * size_of::<crate::array::Field>(),
            _ => 0,
        };
        owned + size_of::<Self>()
    }
}

/// What would be the result of calling `class` with `args` and setting `state`; it is never done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) class: Id,
    pub(crate) args: Vec<Id>,
    pub(crate) state: Option<Id>,
    pub(crate) items: Vec<Id>,
    pub(crate) pairs: Vec<(Id, Id)>,
}

/// All nodes of one file and where to begin.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    nodes: Vec<Node<'a>>,
    pub(crate) root: Id,
}

/// The document has more nodes than we keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyNodes;

impl<'a> Document<'a> {
    pub(crate) fn add(&mut self, node: Node<'a>) -> Result<Id, TooManyNodes> {
        if self.nodes.len() >= MAX_NODES {
            return Err(TooManyNodes);
        }
        self.nodes.push(node);
        Ok((self.nodes.len() - 1) as Id)
    }

    /// The node of an id; an id from elsewhere reads as `None`.
    pub(crate) fn get(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Node<'a>> {
        self.nodes.get_mut(id as usize)
    }

    pub(crate) fn replace(&mut self, id: Id, node: Node<'a>) {
        if let Some(slot) = self.nodes.get_mut(id as usize) {
            *slot = node;
        }
    }

    /// The full dotted name of a class node, or of the class of an object.
    pub(crate) fn class_name(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Class(name) => Some(name),
            Node::Object(object) => match self.get(object.class) {
                Node::Class(name) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value as an integer; a text of digits counts, because skops writes every key of a dict as text.
    pub(crate) fn as_int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Node::Int(value) => Some(*value),
            Node::Bool(value) => Some(i64::from(*value)),
            Node::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members of a list, tuple or set.
    pub(crate) fn members(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::List(ids) | Node::Tuple(ids) | Node::Set(ids) => Some(ids),
            _ => None,
        }
    }
}
