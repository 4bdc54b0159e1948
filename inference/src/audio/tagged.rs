//! An ID3v2.4 tag in front of a stream of frames, which has no place of its own
//! for what it says of itself.

use id3::{
    Encoder as Id3Encoder, Tag, TagLike, Version,
    frame::{Comment, ExtendedText},
};

use super::{EncodeError, Encoder, marks::Marks};

/// An encoder whose first bytes are preceded by a tag.
pub(super) struct Tagged {
    encoder: Box<dyn Encoder>,
    /// Empty once it is out.
    tag: Vec<u8>,
}

impl Tagged {
    pub(super) fn new(marks: &Marks, encoder: Box<dyn Encoder>) -> Result<Self, EncodeError> {
        let mut tag = Tag::new();
        for (name, value) in marks.fields() {
            match name {
                "COMMENT" => {
                    let (lang, description) = ("eng".to_owned(), String::new());
                    _ = tag.add_frame(Comment { lang, description, text: value });
                }
                // Time of encoding.
                "DATE" => tag.set_text("TDEN", value),
                "ENCODER" => tag.set_text("TSSE", value),
                _ => _ = tag.add_frame(ExtendedText { description: name.to_owned(), value }),
            }
        }
        let mut bytes = Vec::new();
        let written = Id3Encoder::new().version(Version::Id3v24).encode(&tag, &mut bytes);
        written.map_err(|error| EncodeError::new("id3", error))?;
        Ok(Self { encoder, tag: bytes })
    }

    /// Puts the tag in front of what was appended to `out` from `start` on, if
    /// anything was.
    fn put_tag(&mut self, start: usize, out: &mut Vec<u8>) {
        if out.len() > start {
            out.splice(start..start, std::mem::take(&mut self.tag));
        }
    }
}

impl Encoder for Tagged {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        self.encoder.push(samples, out)?;
        self.put_tag(start, out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        self.encoder.finish(out)?;
        self.put_tag(start, out);
        Ok(())
    }
}
