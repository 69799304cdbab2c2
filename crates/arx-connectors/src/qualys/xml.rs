//! Reads XML element by element from bytes as they arrive.
//!
//! Nothing is fetched, no entity is expanded beyond the five that XML itself defines, and no
//! element between two calls of [`Xml::allow`] is larger than the bytes allowed: a document of
//! any size needs memory for one element. Elements that nobody asks for are read past.

use std::io::{self, BufRead, Read};

use bytes::{Buf as _, Bytes};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use tokio::sync::mpsc;

use super::answer::one_line;

/// Why a document cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum XmlError {
    /// It ends early or is not well-formed; asking again may help.
    Broken(String),
    /// It holds what ARX does not read from anyone; asking again does not help.
    Refused(&'static str),
}

/// Bytes from another task, with a limit on how many may be taken before the next
/// [`Pieces::allow`].
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, String>>,
    current: Bytes,
    allowed: usize,
}

/// Marks the error of a reader that has given all it may.
const TOO_LARGE: io::ErrorKind = io::ErrorKind::FileTooLarge;

impl Pieces {
    /// Bytes that arrive through a channel; its end is the end of the document.
    pub(super) fn new(receiver: mpsc::Receiver<Result<Bytes, String>>) -> Self {
        Self { receiver, current: Bytes::new(), allowed: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => self.current = piece,
                Some(Err(why)) => return Err(io::Error::other(why)),
                None => return Ok(&[]),
            }
        }
        if self.allowed == 0 {
            return Err(TOO_LARGE.into());
        }
        let end = self.current.len().min(self.allowed);
        Ok(self.current.get(..end).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.current.advance(n.min(self.current.len()));
        self.allowed = self.allowed.saturating_sub(n);
    }
}

/// A source whose next element may be so large.
pub(super) trait Bounded: BufRead {
    /// Allows that many bytes from here on.
    fn allow(&mut self, bytes: usize);
}

impl Bounded for Pieces {
    fn allow(&mut self, bytes: usize) {
        self.allowed = bytes;
    }
}

/// A document that is in memory already has its bound.
impl Bounded for &[u8] {
    fn allow(&mut self, _: usize) {}
}

/// A reader that stands somewhere inside a document.
pub(super) struct Xml<R> {
    reader: Reader<R>,
    buf: Vec<u8>,
    name: String,
    text: String,
}

/// What the next piece of a document is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Start,
    End,
    Other,
}

/// What is kept of the next piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Name,
    Text,
    Nothing,
}

impl<R: Bounded> Xml<R> {
    /// Reads up to the root element, at most `bytes`.
    pub(super) fn open(mut source: R, bytes: usize) -> Result<Self, XmlError> {
        source.allow(bytes);
        let mut reader = Reader::from_reader(source);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        // A lone `&` is written by many who forget to escape it, and means itself.
        config.allow_dangling_amp = true;
        let mut xml = Self { reader, buf: Vec::new(), name: String::new(), text: String::new() };
        if xml.child()? { Ok(xml) } else { Err(broken("a closing tag without its opening")) }
    }

    /// Allows the document so many bytes from here on.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.reader.get_mut().allow(bytes);
    }

    /// Name of the element that was entered last.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Enters the next child of the present element; false at the present element's end.
    pub(super) fn child(&mut self) -> Result<bool, XmlError> {
        loop {
            match self.step(Keep::Name)? {
                Piece::Start => return Ok(true),
                Piece::End => return Ok(false),
                Piece::Other => {}
            }
        }
    }

    /// Reads past the present element.
    pub(super) fn skip(&mut self) -> Result<(), XmlError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.step(Keep::Nothing)? {
                Piece::Start => depth += 1,
                Piece::End => depth -= 1,
                Piece::Other => {}
            }
        }
        Ok(())
    }

    /// The text of the present element, without the white space around it and without what
    /// elements inside it hold.
    pub(super) fn text(&mut self) -> Result<&str, XmlError> {
        self.text.clear();
        let mut depth = 1_usize;
        while depth > 0 {
            let keep = if depth == 1 { Keep::Text } else { Keep::Nothing };
            match self.step(keep)? {
                Piece::Start => depth += 1,
                Piece::End => depth -= 1,
                Piece::Other => {}
            }
        }
        Ok(self.text.trim())
    }

    fn step(&mut self, keep: Keep) -> Result<Piece, XmlError> {
        self.buf.clear();
        let event = self.reader.read_event_into(&mut self.buf).map_err(of_reader)?;
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                if keep == Keep::Name {
                    self.name.clear();
                    self.name.push_str(tag.name().0);
                }
                return Ok(Piece::Start);
            }
            Event::End(_) => return Ok(Piece::End),
            Event::Text(text) if keep == Keep::Text => self.text.push_str(&text),
            Event::CData(text) if keep == Keep::Text => self.text.push_str(&text),
            Event::GeneralRef(reference) => {
                let letter = resolve(&reference)?;
                if keep == Keep::Text {
                    self.text.push(letter);
                }
            }
            Event::DocType(text) => {
                let declares = |word: &str| text.to_ascii_uppercase().contains(word);
                if declares("<!ENTITY") {
                    return Err(XmlError::Refused("the document declares entities"));
                }
            }
            Event::Eof => return Err(broken("the document ends before its closing tag")),
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_) => {}
        }
        Ok(Piece::Other)
    }
}

/// The character of one of XML's own references; any other is refused.
fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlError> {
    let unknown = XmlError::Refused("the document refers to an entity that XML does not define");
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok().flatten().ok_or(unknown);
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(unknown),
    }
}

fn of_reader(error: quick_xml::Error) -> XmlError {
    match error {
        quick_xml::Error::Io(error) if error.kind() == TOO_LARGE => {
            XmlError::Refused("an element of the document is too large")
        }
        other => broken(other.to_string()),
    }
}

fn broken(why: impl Into<String>) -> XmlError {
    // The parser quotes the document, which may be anything of any length.
    XmlError::Broken(one_line(&why.into()))
}
