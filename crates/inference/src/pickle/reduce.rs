//! The handful of constructors whose result is plain data, rebuilt from their arguments alone: numpy arrays, element types and
//! scalars, bytes of the old protocols. Everything else stays an object that only has a name.

use std::borrow::Cow;

use crate::array::{Array, Data, Dtype, Field, Number};
use crate::node::{Document, Id, Node, Object};

/// scikit-learn's widest record has about twenty fields.
const MAX_FIELDS: usize = 64;
/// numpy's own limit was 32 for twenty years.
const MAX_DIMENSIONS: usize = 32;

/// joblib's stand-in for an array whose bytes follow in the file.
pub(super) const JOBLIB_WRAPPER: &str = "joblib.numpy_pickle.NumpyArrayWrapper";

/// The value of a constructor call that we know; `None` if it stays an object.
pub(super) fn known<'a>(document: &Document<'a>, class: Id, args: &[Id]) -> Option<Node<'a>> {
    let Node::Class(name) = document.get(class) else { return None };
    match &**name {
        "numpy.dtype" => Dtype::parse(document.as_text(*args.first()?)?).map(|dtype| Node::Dtype(Box::new(dtype))),
        "numpy.core.multiarray.scalar" | "numpy._core.multiarray.scalar" => scalar(document, args),
        "numpy.core.numeric._frombuffer" | "numpy._core.numeric._frombuffer" => from_buffer(document, args),
        "_codecs.encode" => match (document.as_text(*args.first()?)?, document.as_text(*args.get(1)?)?) {
            (text, "latin1" | "latin-1") => latin1(text).map(|bytes| Node::Bytes(Cow::Owned(bytes))),
            _ => None,
        },
        "builtins.bytes" | "__builtin__.bytes" if args.is_empty() => Some(Node::Bytes(Cow::Borrowed(&[]))),
        "builtins.bytearray" | "__builtin__.bytearray" => match document.get(*args.first()?) {
            Node::Bytes(bytes) => Some(Node::Bytes(bytes.clone())),
            Node::Text(text) => latin1(text).map(|bytes| Node::Bytes(Cow::Owned(bytes))),
            _ => None,
        },
        "builtins.set" | "__builtin__.set" | "builtins.frozenset" => {
            args.first().map_or(Some(&[][..]), |id| document.members(*id)).map(|ids| Node::Set(ids.to_vec()))
        }
        // protocols 0 and 1: copyreg._reconstructor(cls, base, state)
        "copyreg._reconstructor" | "copy_reg._reconstructor" => {
            let class = *args.first()?;
            document.class_name(class)?;
            Some(Node::Object(Box::new(Object { class, ..Object::default() })))
        }
        _ => None,
    }
}

/// What `target` becomes when `state` is set on it, for numpy's own objects.
pub(super) fn built<'a>(document: &Document<'a>, target: Id, state: Id) -> Result<Option<Node<'a>>, String> {
    if let Node::Dtype(dtype) = document.get(target) {
        let dtype = complete_dtype(document, dtype, state).ok_or("a numpy element type is malformed")?;
        return Ok(Some(Node::Dtype(Box::new(dtype))));
    }
    match document.class_name(target) {
        Some("numpy.core.multiarray._reconstruct" | "numpy._core.multiarray._reconstruct") => {
            let array = reconstruct(document, state).ok_or("a numpy array does not fit its shape")?;
            Ok(Some(Node::Array(Box::new(array))))
        }
        _ => Ok(None),
    }
}

/// What a joblib wrapper says about the bytes that follow it.
pub(super) struct Wrapper {
    pub(super) dtype: Dtype,
    pub(super) bytes: usize,
    pub(super) aligned: bool,
    shape: Vec<usize>,
    fortran: bool,
}

impl Wrapper {
    pub(super) fn array(self, bytes: &[u8]) -> Option<Node<'_>> {
        let array = Array::new(self.dtype, self.shape, self.fortran, Data::Bytes(Cow::Borrowed(bytes)))?;
        Some(Node::Array(Box::new(array)))
    }
}

/// Reads the state of a joblib wrapper.
pub(super) fn wrapper(document: &Document<'_>, state: Id) -> Result<Wrapper, String> {
    let pairs = match document.get(state) {
        Node::Dict(pairs) if pairs.len() <= MAX_FIELDS => pairs,
        _ => return Err("an array wrapper has no state".to_owned()),
    };
    let get = |name: &str| pairs.iter().find(|(key, _)| document.as_text(*key) == Some(name)).map(|(_, value)| *value);
    let Some(Node::Dtype(dtype)) = get("dtype").map(|id| document.get(id)) else {
        return Err("an array wrapper has no element type".to_owned());
    };
    let shape = get("shape").and_then(|id| shape(document, id)).ok_or("an array wrapper has no shape")?;
    let fortran = get("order").and_then(|id| document.as_text(id)) == Some("F");
    let aligned = get("numpy_array_alignment_bytes").is_some_and(|id| document.as_int(id).is_some());
    let bytes = shape
        .iter()
        .try_fold(dtype.size, |product, side| product.checked_mul(*side))
        .ok_or("an array is larger than memory")?;
    Ok(Wrapper { dtype: (**dtype).clone(), bytes, aligned, shape, fortran })
}

fn shape(document: &Document<'_>, id: Id) -> Option<Vec<usize>> {
    let sides = document.members(id).filter(|sides| sides.len() <= MAX_DIMENSIONS)?;
    sides.iter().map(|side| usize::try_from(document.as_int(*side)?).ok()).collect()
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

fn scalar<'a>(document: &Document<'a>, args: &[Id]) -> Option<Node<'a>> {
    let Node::Dtype(dtype) = document.get(*args.first()?) else { return None };
    let Node::Bytes(bytes) = document.get(*args.get(1)?) else {
        return match document.get(*args.get(1)?) {
            plain @ (Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Text(_)) => Some(plain.clone()),
            _ => None,
        };
    };
    let array = Array::new((**dtype).clone(), vec![1], false, Data::Bytes(bytes.clone()))?;
    scalar_node(&array)
}

/// The only element of an array as a plain node.
pub(crate) fn scalar_node<'a>(array: &Array<'_>) -> Option<Node<'a>> {
    if let Some(texts) = array.texts() {
        return texts.into_iter().next().map(|text| Node::Text(Cow::Owned(text)));
    }
    array.numbers()?.first().map(|number| match number {
        Number::Bool(value) => Node::Bool(*value),
        Number::Int(value) => Node::Int(*value),
        Number::Float(value) => Node::Float(*value),
    })
}

/// `_frombuffer(buffer, dtype, shape, order)` of protocol 5.
fn from_buffer<'a>(document: &Document<'a>, args: &[Id]) -> Option<Node<'a>> {
    let Node::Bytes(bytes) = document.get(*args.first()?) else { return None };
    let Node::Dtype(dtype) = document.get(*args.get(1)?) else { return None };
    let shape = shape(document, *args.get(2)?)?;
    let fortran = args.get(3).and_then(|id| document.as_text(*id)) == Some("F");
    let array = Array::new((**dtype).clone(), shape, fortran, Data::Bytes(bytes.clone()))?;
    Some(Node::Array(Box::new(array)))
}

/// The state of `_reconstruct`: (version, shape, dtype, is_fortran, bytes or list).
fn reconstruct<'a>(document: &Document<'a>, state: Id) -> Option<Array<'a>> {
    let [_, shape_id, dtype, fortran, data] = document.members(state)? else { return None };
    let Node::Dtype(dtype) = document.get(*dtype) else { return None };
    let fortran = document.as_int(*fortran)? != 0;
    let data = match document.get(*data) {
        Node::Bytes(bytes) => Data::Bytes(bytes.clone()),
        Node::List(ids) => Data::Objects(ids.clone()),
        _ => return None,
    };
    Array::new((**dtype).clone(), shape(document, *shape_id)?, fortran, data)
}

/// The state of `dtype`: (version, byte order, subdtype, names, fields, item size, alignment, flags).
fn complete_dtype(document: &Document<'_>, dtype: &Dtype, state: Id) -> Option<Dtype> {
    let state = document.members(state)?;
    let mut complete = dtype.clone();
    complete.big_endian = document.as_text(*state.get(1)?) == Some(">");
    let (Some(names), Node::Dict(fields)) = (document.members(*state.get(3)?), document.get(*state.get(4)?)) else {
        return Some(complete);
    };
    if names.len() > MAX_FIELDS || fields.len() > MAX_FIELDS {
        return None;
    }
    for name in names {
        let name = document.as_text(*name)?;
        let (_, spec) = fields.iter().find(|(key, _)| document.as_text(*key) == Some(name))?;
        let spec = document.members(*spec)?;
        let Node::Dtype(inner) = document.get(*spec.first()?) else { return None };
        if !inner.fields.is_empty() {
            return None;
        }
        let offset = usize::try_from(document.as_int(*spec.get(1)?)?).ok()?;
        complete.fields.push(Field { name: name.to_owned(), offset, dtype: (**inner).clone() });
    }
    Some(complete)
}
