//! A pickle machine (protocols 0 to 5) that builds inert nodes. `REDUCE`, `NEWOBJ`, `INST` and `BUILD` note what would be called;
//! nothing is imported and nothing is called. It keeps a stack of node ids and no recursion, except for the nested pickles that
//! joblib writes for object arrays, whose depth is bounded.

mod reduce;
mod source;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::LoadError;
use crate::node::{Document, Id, Node, Object};
use source::Source;

pub(crate) use reduce::scalar_node;

/// joblib nests a pickle for each object array; real files nest once.
const MAX_NESTING: usize = 8;

/// A memo makes a copy cost a few bytes of file: what is copied in all is bounded by a multiple of the file.
const COPY_FACTOR: usize = 8;
const COPY_FLOOR: usize = 1 << 20;
const MAX_NAME: usize = 1024;

/// What a pickle turned out to be.
pub(crate) struct Pickle<'a> {
    pub(crate) document: Document<'a>,
    /// joblib's array wrappers were met.
    pub(crate) joblib: bool,
}

/// Reads a pickle or an uncompressed joblib file.
pub(crate) fn read<'a>(file: &'a str, bytes: &'a [u8]) -> Result<Pickle<'a>, LoadError> {
    let mut source = Source::new(file, bytes);
    let mut document = Document::default();
    let mut shared =
        Shared { joblib: false, copies: bytes.len().saturating_mul(COPY_FACTOR).saturating_add(COPY_FLOOR) };
    let root = run(&mut source, &mut document, &mut shared, 0)?;
    document.root = root;
    Ok(Pickle { document, joblib: shared.joblib })
}

/// What nested pickles share.
struct Shared {
    joblib: bool,
    /// Bytes that may still be copied.
    copies: usize,
}

struct Machine<'m, 'a> {
    source: &'m mut Source<'a>,
    document: &'m mut Document<'a>,
    shared: &'m mut Shared,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    nesting: usize,
}

fn run<'a>(
    source: &mut Source<'a>,
    document: &mut Document<'a>,
    shared: &mut Shared,
    nesting: usize,
) -> Result<Id, LoadError> {
    if nesting > MAX_NESTING {
        return Err(source.limit("pickles nested too deep"));
    }
    let mut machine =
        Machine { source, document, shared, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), nesting };
    loop {
        let op = machine.source.byte()?;
        if op == b'.' {
            return machine.pop();
        }
        machine.step(op)?;
    }
}

impl<'a> Machine<'_, 'a> {
    fn step(&mut self, op: u8) -> Result<(), LoadError> {
        match op {
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' | b'1' | b'2' => self.stack_op(op),
            b'F' | b'I' | b'L' | b'J' | b'K' | b'M' | b'G' | 0x8a | 0x8b => self.number(op),
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'S' | b'V' | b'T' | b'U' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.text_or_bytes(op),
            b']' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            0x8f => self.push(Node::Set(Vec::new())),
            b'l' | b't' | b'd' | 0x91 | 0x85 | 0x86 | 0x87 => self.collect(op),
            b'a' | b'e' | 0x90 => self.append(op),
            b's' | b'u' => self.set_items(op),
            b'g' | b'h' | b'j' | b'p' | b'q' | b'r' | 0x94 => self.memo_op(op),
            b'c' | 0x93 => self.global(op),
            b'R' | 0x81 | 0x92 | b'i' | b'o' => self.instance(op),
            b'b' => self.build(),
            0x80 => match self.source.byte()? {
                0..=5 => Ok(()),
                other => Err(self.source.damaged(format!("pickle protocol {other} is not known (0 to 5 are)"))),
            },
            0x95 => self.source.take(8).map(|_| ()),
            0x98 => Ok(()),
            b'P' | b'Q' => Err(self.source.damaged("persistent ids refer to outside the file")),
            0x82..=0x84 => Err(self.source.damaged("extension codes refer to outside the file")),
            0x97 => Err(self.source.damaged("out-of-band buffers are not in the file")),
            other => Err(self.source.damaged(format!("opcode 0x{other:02x} is no pickle"))),
        }
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), LoadError> {
        let id = self.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn add(&mut self, node: Node<'a>) -> Result<Id, LoadError> {
        self.document.add(node).map_err(|_| self.source.limit("too many values"))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), LoadError> {
        let left = self.shared.copies.checked_sub(bytes);
        self.shared.copies = left.ok_or_else(|| self.source.limit("the same value is copied too often"))?;
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, LoadError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.source.damaged("the stack is empty"));
        }
        self.stack.pop().ok_or_else(|| self.source.damaged("the stack is empty"))
    }

    fn top(&self) -> Result<Id, LoadError> {
        self.stack.last().copied().ok_or_else(|| self.source.damaged("the stack is empty"))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, LoadError> {
        let mark = self.marks.pop().ok_or_else(|| self.source.damaged("no mark on the stack"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn stack_op(&mut self, op: u8) -> Result<(), LoadError> {
        match op {
            b'1' => self.pop_mark().map(|_| ()),
            // POP also drops a mark that lies on top
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            _ => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
        }
    }

    fn number(&mut self, op: u8) -> Result<(), LoadError> {
        let node = match op {
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.source.array()?))),
            b'K' => Node::Int(i64::from(self.source.byte()?)),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.source.array()?))),
            b'G' => Node::Float(f64::from_be_bytes(self.source.array()?)),
            0x8a => {
                let length = usize::from(self.source.byte()?);
                long(self.source.take(length)?)
            }
            0x8b => {
                let length = self.source.length32()?;
                long(self.source.take(length)?)
            }
            b'F' => {
                let line = self.source.line()?;
                Node::Float(line.parse().map_err(|_| self.source.damaged("a float is none"))?)
            }
            _ => match self.source.line()?.trim_end_matches('L') {
                "00" if op == b'I' => Node::Bool(false),
                "01" if op == b'I' => Node::Bool(true),
                digits => digits.parse().map_or(Node::Opaque, Node::Int),
            },
        };
        self.push(node)
    }

    fn text_or_bytes(&mut self, op: u8) -> Result<(), LoadError> {
        let node = match op {
            b'S' => Node::Text(Cow::Owned(source::unquote(self.source.line()?))),
            b'V' => Node::Text(Cow::Owned(source::raw_unicode_escape(self.source.raw_line()?))),
            _ => {
                let length = match op {
                    b'U' | 0x8c | b'C' => usize::from(self.source.byte()?),
                    0x8d | 0x8e | 0x96 => self.source.length64()?,
                    _ => self.source.length32()?,
                };
                let bytes = self.source.take(length)?;
                if matches!(op, b'X' | 0x8c | 0x8d) {
                    // Python writes lone surrogates with "surrogatepass"; no name or category of a model has them
                    Node::Text(Cow::Borrowed(
                        std::str::from_utf8(bytes).map_err(|_| self.source.damaged("a text is not UTF-8"))?,
                    ))
                } else {
                    Node::Bytes(Cow::Borrowed(bytes))
                }
            }
        };
        self.push(node)
    }

    fn collect(&mut self, op: u8) -> Result<(), LoadError> {
        let node = match op {
            0x85..=0x87 => {
                let count = usize::from(op - 0x84);
                let mut members = vec![0; count];
                for member in members.iter_mut().rev() {
                    *member = self.pop()?;
                }
                Node::Tuple(members)
            }
            b'l' => Node::List(self.pop_mark()?),
            b't' => Node::Tuple(self.pop_mark()?),
            0x91 => Node::Set(self.pop_mark()?),
            _ => Node::Dict(pairs(&self.pop_mark()?)),
        };
        self.push(node)
    }

    fn append(&mut self, op: u8) -> Result<(), LoadError> {
        let mut new = if op == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
        let target = self.top()?;
        match self.document.get_mut(target) {
            Some(Node::List(items) | Node::Set(items)) => items.append(&mut new),
            Some(Node::Object(object)) => object.items.append(&mut new),
            _ => return Err(self.source.damaged("an item is appended to what is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, op: u8) -> Result<(), LoadError> {
        let new = if op == b's' {
            let value = self.pop()?;
            let key = self.pop()?;
            vec![key, value]
        } else {
            self.pop_mark()?
        };
        let target = self.top()?;
        match self.document.get_mut(target) {
            Some(Node::Dict(have)) => have.extend(pairs(&new)),
            Some(Node::Object(object)) => object.pairs.extend(pairs(&new)),
            _ => return Err(self.source.damaged("an item is set on what is no dict")),
        }
        Ok(())
    }

    fn memo_op(&mut self, op: u8) -> Result<(), LoadError> {
        let key = match op {
            b'g' | b'p' => self.source.line()?.parse().map_err(|_| self.source.damaged("a memo key is no number"))?,
            b'h' | b'q' => u64::from(self.source.byte()?),
            b'j' | b'r' => u64::from(u32::from_le_bytes(self.source.array()?)),
            _ => self.memo.len() as u64,
        };
        if matches!(op, b'g' | b'h' | b'j') {
            let id = self.memo.get(&key).copied();
            self.stack.push(id.ok_or_else(|| self.source.damaged(format!("memo {key} was never set")))?);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn global(&mut self, op: u8) -> Result<(), LoadError> {
        let name = if op == b'c' {
            let module = self.source.line()?;
            let name = self.source.line()?;
            format!("{module}.{name}")
        } else {
            let name = self.pop()?;
            let module = self.pop()?;
            match (self.document.as_text(module), self.document.as_text(name)) {
                (Some(module), Some(name)) if module.len() + name.len() < MAX_NAME => format!("{module}.{name}"),
                (Some(_), Some(_)) => return Err(self.source.damaged("the name of a class is too long")),
                _ => return Err(self.source.damaged("the name of a class is no text")),
            }
        };
        self.push(Node::Class(name.into()))
    }

    /// REDUCE, NEWOBJ, NEWOBJ_EX, INST, OBJ: an object is noted, nothing is called.
    fn instance(&mut self, op: u8) -> Result<(), LoadError> {
        let (class, args) = match op {
            b'i' => {
                self.global(b'c')?;
                let class = self.pop()?;
                (class, self.pop_mark()?)
            }
            b'o' => {
                let mut members = self.pop_mark()?;
                if members.is_empty() {
                    return Err(self.source.damaged("an object has no class"));
                }
                (members.remove(0), members)
            }
            _ => {
                if op == 0x92 {
                    self.pop()?;
                }
                let args = self.pop()?;
                let class = self.pop()?;
                let Some(args) = self.document.members(args).map(<[Id]>::to_vec) else {
                    return Err(self.source.damaged("arguments are no tuple"));
                };
                self.charge(args.len() * size_of::<Id>())?;
                (class, args)
            }
        };
        match reduce::known(self.document, class, &args) {
            Some(node) => {
                self.charge(node.weight())?;
                self.push(node)
            }
            None => self.push(Node::Object(Box::new(Object { class, args, ..Object::default() }))),
        }
    }

    fn build(&mut self) -> Result<(), LoadError> {
        let state = self.pop()?;
        let target = self.top()?;
        if self.document.class_name(target) == Some(reduce::JOBLIB_WRAPPER) {
            let array = self.joblib_array(state)?;
            self.charge(array.weight())?;
            self.document.replace(target, array);
            self.shared.joblib = true;
            return Ok(());
        }
        if let Some(node) = reduce::built(self.document, target, state).map_err(|what| self.source.damaged(what))? {
            self.charge(node.weight())?;
            self.document.replace(target, node);
            return Ok(());
        }
        match self.document.get_mut(target) {
            Some(Node::Object(object)) => object.state = Some(state),
            // a state for a list or a dict (subclasses) tells nothing that we need
            Some(_) => {}
            None => return Err(self.source.damaged("a state has no object")),
        }
        Ok(())
    }

    /// The array that follows a joblib wrapper in the file: raw bytes, or a nested pickle for objects.
    fn joblib_array(&mut self, state: Id) -> Result<Node<'a>, LoadError> {
        let wrapper = reduce::wrapper(self.document, state).map_err(|what| self.source.damaged(what))?;
        if wrapper.dtype.kind == b'O' {
            let nested = run(self.source, self.document, self.shared, self.nesting + 1)?;
            return Ok(self.document.get(nested).clone());
        }
        if wrapper.aligned {
            let padding = usize::from(self.source.byte()?);
            self.source.take(padding)?;
        }
        let bytes = self.source.take(wrapper.bytes)?;
        wrapper.array(bytes).ok_or_else(|| self.source.damaged("an array does not fit its shape"))
    }
}

fn pairs(members: &[Id]) -> Vec<(Id, Id)> {
    members.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)).collect()
}

/// A little-endian two's complement integer of any length.
fn long<'a>(bytes: &[u8]) -> Node<'a> {
    if bytes.len() > 8 {
        return Node::Opaque;
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut buffer = [if negative { 0xff } else { 0 }; 8];
    buffer[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(buffer))
}
