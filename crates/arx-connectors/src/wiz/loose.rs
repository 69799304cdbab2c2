//! Values as they arrive: any field may be null, absent or of another kind than documented.
//!
//! Each type takes what it can use and reads past the rest, so that one odd field never costs a
//! page. Texts borrow from the page where JSON wrote them without escapes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// A truth; false where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flag(pub(super) bool);

/// A number, also one written as text; `None` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(pub(super) Option<f64>);

/// A list, also one that arrives as its only entry; null entries are left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Many<T>(pub(super) Vec<T>);

/// An object, or `None` for anything else.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object<T>(pub(super) Option<T>);

/// Tags, as an object, as a list of `{key, value}` or as a list of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tags<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Visitor methods for everything that a type makes nothing of.
macro_rules! otherwise {
    ($empty:expr, $($kind:ident),*) => { $(otherwise!(@$kind $empty);)* };
    (@unit $empty:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($empty) }
        fn visit_none<E>(self) -> Result<Self::Value, E> { Ok($empty) }
    };
    (@bool $empty:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> { Ok($empty) }
    };
    (@number $empty:expr) => {
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> { Ok($empty) }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> { Ok($empty) }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> { Ok($empty) }
    };
    (@text $empty:expr) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> { Ok($empty) }
    };
    (@seq $empty:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            skip_seq(seq)?;
            Ok($empty)
        }
    };
    (@map $empty:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            skip_map(map)?;
            Ok($empty)
        }
    };
}

fn anything(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("any value")
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                anything(f)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(if value { "true" } else { "false" })))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
            otherwise!(Text::default(), unit, seq, map);
        }
        deserializer.deserialize_any(Take)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                anything(f)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Flag(value))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Flag(text.eq_ignore_ascii_case("true")))
            }
            otherwise!(Flag(false), unit, number, seq, map);
        }
        deserializer.deserialize_any(Take)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                anything(f)
            }
            #[expect(clippy::cast_precision_loss, reason = "scores are small")]
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Number(Some(value as f64)))
            }
            #[expect(clippy::cast_precision_loss, reason = "scores are small")]
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Number(Some(value as f64)))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Number(Some(value)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                let value = text.trim().parse::<f64>().ok();
                Ok(Number(value.filter(|value| value.is_finite())))
            }
            otherwise!(Number(None), unit, bool, seq, map);
        }
        deserializer.deserialize_any(Take)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Take<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                anything(f)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(|value| Object(Some(value)))
            }
            otherwise!(Object(None), unit, bool, number, text, seq);
        }
        deserializer.deserialize_any(Take(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Take<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                anything(f)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element::<Object<T>>()? {
                    entries.extend(entry.0);
                }
                Ok(Many(entries))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(|only| Many(vec![only]))
            }
            otherwise!(Many(Vec::new()), unit, bool, number, text);
        }
        deserializer.deserialize_any(Take(PhantomData))
    }
}

/// One entry of a list of tags.
#[derive(Default)]
struct Tag<'a> {
    key: Text<'a>,
    value: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Tag<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Tag<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                anything(f)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Tag { key: Text(Cow::Borrowed(text)), value: Text::default() })
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Tag { key: Text(Cow::Owned(text.to_owned())), value: Text::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut tag = Tag::default();
                while let Some(field) = map.next_key::<Text<'de>>()? {
                    match field.0.as_ref() {
                        "key" | "name" => tag.key = map.next_value()?,
                        "value" => tag.value = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(tag)
            }
            otherwise!(Tag::default(), unit, bool, number, seq);
        }
        deserializer.deserialize_any(Take)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Tags<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                anything(f)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut tags = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    tags.push((key.0, value.0));
                }
                Ok(Tags(tags))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = seq.next_element::<Tag<'de>>()? {
                    if !tag.key.0.is_empty() {
                        tags.push((tag.key.0, tag.value.0));
                    }
                }
                Ok(Tags(tags))
            }
            otherwise!(Tags::default(), unit, bool, number, text);
        }
        deserializer.deserialize_any(Take)
    }
}
